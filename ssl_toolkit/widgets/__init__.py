"""Panels for notebooks: views on plain objects, driven by a `Player`; each control is also an attribute or method."""

from ssl_toolkit.widgets.attack_panel import AttackPanel as AttackPanel
from ssl_toolkit.widgets.canvas import ImageGrid as ImageGrid
from ssl_toolkit.widgets.chain_canvas import ChainCanvas as ChainCanvas
from ssl_toolkit.widgets.chain_panel import ChainPanel as ChainPanel
from ssl_toolkit.widgets.claims_board import ClaimsBoard as ClaimsBoard
from ssl_toolkit.widgets.edit_panel import EditPanel as EditPanel
from ssl_toolkit.widgets.heat_map import HeatMap as HeatMap
from ssl_toolkit.widgets.infusion_panel import InfusionPanel as InfusionPanel
from ssl_toolkit.widgets.loss_panel import LossPanel as LossPanel
from ssl_toolkit.widgets.mask_canvas import MaskCanvas as MaskCanvas
from ssl_toolkit.widgets.player import Player as Player
from ssl_toolkit.widgets.probe_panel import ProbePanel as ProbePanel
from ssl_toolkit.widgets.rcdm_panel import RcdmPanel as RcdmPanel
from ssl_toolkit.widgets.scatter import Scatter as Scatter
from ssl_toolkit.widgets.sweep_panel import SweepPanel as SweepPanel
from ssl_toolkit.widgets.train_panel import TrainPanel as TrainPanel
from ssl_toolkit.widgets.views_panel import ViewsPanel as ViewsPanel
from ssl_toolkit.widgets.width_panel import WidthPanel as WidthPanel
