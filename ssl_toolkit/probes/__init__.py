"""What a representation knows: probes for labels and factors, label-free metrics, neighbors, maps and attacks."""

from ssl_toolkit.encoders import (
    embed as embed,
    embed_steps as embed_steps,
    eval_mode as eval_mode,
    pixels as pixels,
    untrained as untrained,
)
from ssl_toolkit.encoders.statistics import neighbors as neighbors
from ssl_toolkit.probes.adversarial import attack as attack, attack_curve as attack_curve, fgsm as fgsm, pgd as pgd
from ssl_toolkit.probes.cka import cka_matrix as cka_matrix, linear_cka as linear_cka
from ssl_toolkit.probes.dejavu import DejaVu as DejaVu, dejavu as dejavu
from ssl_toolkit.probes.enrichment import enrichment as enrichment
from ssl_toolkit.probes.factors import iter_factors as iter_factors, read_factors as read_factors, ridge_r2 as ridge_r2
from ssl_toolkit.probes.invariance import reactions as reactions
from ssl_toolkit.probes.knn import knn_accuracy as knn_accuracy, knn_predict as knn_predict
from ssl_toolkit.probes.layerwise import read_depths as read_depths
from ssl_toolkit.probes.linear import (
    Probe as Probe,
    few_labels as few_labels,
    linear_probe as linear_probe,
    mlp_probe as mlp_probe,
    probe_depths as probe_depths,
)
from ssl_toolkit.probes.logistic import logistic as logistic
from ssl_toolkit.probes.maps import align as align, principal_planes as principal_planes
from ssl_toolkit.probes.metrics import (
    alignment as alignment,
    alpha_req as alpha_req,
    describe_rank as describe_rank,
    feature_std as feature_std,
    lidar as lidar,
    rankme as rankme,
    spectrum as spectrum,
    uniformity as uniformity,
)
from ssl_toolkit.probes.monitor import monitor as monitor
from ssl_toolkit.probes.online import LinearProbes as LinearProbes
from ssl_toolkit.probes.review import (
    confusions as confusions,
    duplicates as duplicates,
    knn_graph as knn_graph,
    knn_graph_steps as knn_graph_steps,
    label_error_steps as label_error_steps,
    label_errors as label_errors,
    outliers as outliers,
    purity as purity,
)
from ssl_toolkit.probes.tsne import pca as pca, tsne as tsne
from ssl_toolkit.probes.width import gradient_rank as gradient_rank
