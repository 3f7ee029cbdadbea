"""What `TrainPanel` offers: recipes that work, and some that fail on purpose; each says why."""

from dataclasses import replace

from ssl_toolkit.joint import JointRecipe, tuned

PRESETS: dict[str, tuple[JointRecipe, str]] = {
    "SimCLR, tuned for two cores": (
        JointRecipe(),
        "Two crops of an image attract, all other images of the batch repel.",
    ),
    "VICReg": (
        tuned("vicreg"),
        "No negatives: a variance term keeps the dimensions alive, a covariance term keeps them different.",
    ),
    "BYOL": (tuned("byol"), "No negatives at all: a student predicts a slowly moving teacher."),
    "DINO": (
        tuned("dino"),
        "A student sorts views into prototypes as a centered teacher does.",
    ),
    "Supervised": (
        JointRecipe(method="supervised"),
        "The same loop with the labels given: the ceiling for these classes.",
    ),
    "Fails: colors stay the same": (
        JointRecipe(jitter=0.0, hue=0.0, gray=0.0),
        "Color alone tells two images apart, so color is all it learns: neighbors share a ground, not a kind.",
    ),
    "Fails: identical views": (
        JointRecipe(scale=(1.0, 1.0), flip=0.0, jitter=0.0, hue=0.0, gray=0.0),
        "Nothing is changed, so nothing must be ignored: alignment is perfect at once and classes stay mixed.",
    ),
    "Fails: VICReg without variance": (
        replace(tuned("vicreg"), variance=0.0, projector=(), lr=1e-2),
        "Equal outputs for all images are the cheapest agreement: within 100 steps the rank falls below 10.",
    ),
    "Fails: learning rate far too high": (
        JointRecipe(lr=30.0, warmup=0),
        "The first steps throw the weights far away: neighbors get no better than before training.",
    ),
}
