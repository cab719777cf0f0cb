"""The harbour's container registry: what is there, and what survives a restart."""

from __future__ import annotations

from dataclasses import replace

import httpx

from harbour.config import HarbourConfig
from harbour.control import Control
from harbour.registry import Registry
from harbour.world import Harbour


def test_an_image_is_there_once_it_is_pushed() -> None:
    registry = Registry(["registry.example.com:5000/base"])

    registry.push("registry.example.com/shop:1", commit="abc")

    assert registry.has("registry.example.com/shop:1")
    assert not registry.has("registry.example.com/shop:2")
    assert not registry.has("registry.example.com/shop"), "without a tag it is `latest`"
    assert registry.images() == {"registry.example.com/shop:1": "abc", "registry.example.com:5000/base:latest": None}


def test_images_survive_a_restart_of_the_harbour(config: HarbourConfig) -> None:
    first = Harbour(replace(config, images=("registry.example.com/base:1",)))
    first.start()
    first.registry.push("registry.example.com/shop:1", commit="abc")
    first.stop()

    second = Harbour(config)
    second.start()
    second.stop()

    assert second.registry.images() == {"registry.example.com/base:1": None, "registry.example.com/shop:1": "abc"}


def test_the_control_interface_shows_and_takes_images(harbour: Harbour) -> None:
    control = Control(harbour)
    url = control.start()
    try:
        httpx.post(f"{url}/images", json={"image": "registry.example.com/shop:1", "commit": "abc"})

        assert harbour.registry.has("registry.example.com/shop:1")
        shown = httpx.get(f"{url}/images").json()["images"]
        assert shown == [{"image": "registry.example.com/shop:1", "commit": "abc"}]
    finally:
        control.stop()
