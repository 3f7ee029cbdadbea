"""Panels for notebooks: views on plain objects, driven by a `Player`; each control is also an attribute or method."""

from ssl_toolkit.widgets.canvases.canvas import ImageGrid as ImageGrid
from ssl_toolkit.widgets.canvases.chain import ChainCanvas as ChainCanvas
from ssl_toolkit.widgets.canvases.chart import Chart as Chart
from ssl_toolkit.widgets.canvases.heat_map import HeatMap as HeatMap
from ssl_toolkit.widgets.canvases.mask import MaskCanvas as MaskCanvas
from ssl_toolkit.widgets.canvases.neighbor_grid import NeighborGrid as NeighborGrid
from ssl_toolkit.widgets.canvases.scatter import Scatter as Scatter
from ssl_toolkit.widgets.exploring import explore as explore
from ssl_toolkit.widgets.links import open_link as open_link
from ssl_toolkit.widgets.panels.attack import AttackPanel as AttackPanel
from ssl_toolkit.widgets.panels.chain import ChainPanel as ChainPanel
from ssl_toolkit.widgets.panels.claims import ClaimsBoard as ClaimsBoard
from ssl_toolkit.widgets.panels.edit import EditPanel as EditPanel
from ssl_toolkit.widgets.panels.infusion import InfusionPanel as InfusionPanel
from ssl_toolkit.widgets.panels.loss import LossPanel as LossPanel
from ssl_toolkit.widgets.panels.probe import ProbePanel as ProbePanel
from ssl_toolkit.widgets.panels.rcdm import RcdmPanel as RcdmPanel
from ssl_toolkit.widgets.panels.sweep import SweepPanel as SweepPanel
from ssl_toolkit.widgets.panels.train import TrainPanel as TrainPanel
from ssl_toolkit.widgets.panels.views import ViewsPanel as ViewsPanel
from ssl_toolkit.widgets.pictures import export as export, tile as tile
from ssl_toolkit.widgets.player import Player as Player
