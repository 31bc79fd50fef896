"""The two pictures of the README: the first screen with the demo's year, wide in light colours and narrow in dark ones."""

from chromium import Objections
from stage import Stage

# Two points for each of the page, so that letters are sharp where they are scaled down.
SCALE = 2
LOOKS = {
    "light-wide.png": ("light", {"width": 1200, "height": 860}),
    "dark-narrow.png": ("dark", {"width": 390, "height": 844}),
}
# Both together, so that nobody waits for the README.
MOST_BYTES = 400 * 1024


def take_pictures(chromium, installation, folder):
    """Writes them into a folder, and says how large they are. Fails where the browser objects to the page."""
    stage = Stage(installation, chromium)
    state = stage.signed_in(stage.viewer)
    folder.mkdir(parents=True, exist_ok=True)
    total = 0
    for name, (colours, size) in LOOKS.items():
        with chromium.context(
            installation.url, storage_state=state, color_scheme=colours, viewport=size, device_scale_factor=SCALE,
            reduced_motion="reduce",
        ) as context:
            objections = Objections(context, installation.url)
            page = context.new_page()
            page.goto("/")
            page.wait_for_load_state("networkidle")
            page.screenshot(path=folder / name)
            assert objections.take() == []
        length = (folder / name).stat().st_size
        total += length
        print(f"{folder / name}: {length // 1024} KiB")
    assert total <= MOST_BYTES, f"both have {total // 1024} KiB, and may have {MOST_BYTES // 1024}"
