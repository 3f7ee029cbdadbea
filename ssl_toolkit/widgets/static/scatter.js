// Points of the plane, as they are.
export default { render: points };
