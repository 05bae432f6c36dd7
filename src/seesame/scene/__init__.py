"""A synthetic drive rendered from code alone, with exact masks and exact ego-motion."""

from seesame.scene.config import SceneConfig, SceneFrame
from seesame.scene.render import Scene, SceneClip

__all__ = ["Scene", "SceneClip", "SceneConfig", "SceneFrame"]
