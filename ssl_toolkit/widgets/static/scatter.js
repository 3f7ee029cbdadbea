// Points of the plane, as they are.
export default hosted({ render: points });
