import struct
from io import BytesIO

import pytest
from PIL import Image

from evoforge.errors import ConfigError
from evoforge.task.picture import Picture
from tests.task.conftest import png


@pytest.fixture
def file(tmp_path):
    """The file of a red picture."""
    path = tmp_path / "red.png"
    path.write_bytes(png("red"))
    return path


@pytest.mark.parametrize("of", [str, lambda path: path, lambda path: {"path": str(path)}])
def test_a_path_is_read_when_the_picture_is_asked_for(file, of):
    picture = Picture.of(of(file), "row 1")
    assert picture.read() == png("red")
    assert picture.image().getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("of", [lambda data: data, lambda data: {"bytes": data, "path": "x.png"}])
def test_bytes_are_a_picture(of):
    assert Picture.of(of(png("red")), "row 1").read() == png("red")


def test_equal_bytes_are_equal_pictures_wherever_they_come_from(file):
    first, same, other = (
        Picture.of(value, where)
        for value, where in ((file, "a"), (png("red"), "b"), (png("blue"), "c"))
    )
    assert first == same != other
    assert hash(first) == hash(same)
    assert first.digest == same.digest != other.digest


def test_a_decoded_picture_becomes_a_file(file):
    with Image.open(file) as decoded:
        picture = Picture.of(decoded, "row 1")
    assert picture.image().getpixel((0, 0)) == (255, 0, 0)


def test_a_picture_stays_what_it_is(file):
    picture = Picture.of(file, "a")
    assert Picture.of(picture, "b") is picture


def test_bytes_that_can_be_read_again_are_not_held():
    picture = Picture.of(png("red"), "row 1", again=lambda: png("blue"))
    assert picture.digest == Picture.of(png("red"), "row 2").digest
    assert picture.read() == png("blue")


def test_a_path_is_relative_to_the_first_folder_that_has_it(file, tmp_path):
    folders = (tmp_path / "none", tmp_path)
    assert Picture.of("red.png", "row 1", folders).read() == png("red")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("blue.png", r"^here: cannot read .*blue\.png: No such file"),
        ("https://a/b.png", "^here: image must be a file, not an address, got https"),
        (b"text", r"^here is no picture \(of no known format\); replace the file, or take the row"),
        (b"", "^here: image must be a file or the bytes of one, got bytes"),
        (7, "^here: image must be a file or the bytes of one, got int"),
        ({"bytes": None, "path": None}, "^here: image must be a file or the bytes of one, got Non"),
        ("data:image/png;base64,AAAA", "^here: image must be a file, not an address, got data:ima"),
        ("a\0b.png", r"^here: cannot read a\\x00b.png: embedded null byte"),
        ("x" * 5000, "^here: cannot read .{200}: File name too long"),
        ("~nobody-of-this-name/a.png", "^here: cannot read ~nobody-.*: Could not determine home"),
        ("", "^here: cannot read .*: it is no file"),
        ("/dev/null", "^here: cannot read /dev/null: it is no file"),
    ],
)
def test_what_is_no_picture_is_named_with_its_place(tmp_path, value, message):
    with pytest.raises(ConfigError, match=message):
        Picture.of(value, "here", (tmp_path,))


def test_a_file_that_is_no_picture_is_named_with_its_row(tmp_path):
    (tmp_path / "x.png").write_text("no picture")
    with pytest.raises(ConfigError, match=r"x\.png \(row 1\) is no picture"):
        Picture.of("x.png", "row 1", (tmp_path,))


def test_a_file_cut_short_is_told_when_it_is_decoded():
    noise = Image.effect_noise((64, 64), 90)
    out = BytesIO()
    noise.save(out, "PNG")
    picture = Picture.of(out.getvalue()[:900], "row 1")
    with pytest.raises(ConfigError, match="row 1 does not decode as a picture: "):
        picture.image()


def test_pictures_stand_as_the_camera_says():
    upright = Image.new("RGB", (2, 1), "red")
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    out = BytesIO()
    upright.save(out, "PNG", exif=exif)
    assert Picture.of(out.getvalue(), "row 1").image().size == (1, 2)


@pytest.mark.parametrize("size", [(201, 1), (1, 201)])
def test_strips_are_no_pictures_for_they_take_gigabytes(size):
    strip = Picture.of(Image.new("RGB", size), "row 1")
    with pytest.raises(ConfigError, match="row 1 must have no side .* got 201 by 1 pixels"):
        strip.image()
    assert Picture.of(Image.new("RGB", (1, 200)), "row 1").image().size == (1, 200)


@pytest.mark.parametrize("error", [RuntimeError("no frame"), struct.error("no integer")])
def test_decoders_may_fail_in_ways_of_their_own(monkeypatch, error):
    """As those of AVIF and of EXIF do; which bytes it takes depends on Pillow's version."""

    def fail(*_):
        raise error

    picture = Picture.of(png("red"), "row 1")
    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(ConfigError, match="row 1 does not decode as a picture: no "):
        picture.image()
    with pytest.raises(ConfigError, match=r"row 1 is no picture \(no "):
        Picture.of(png("red"), "row 1")


@pytest.mark.parametrize(("mode", "kind"), [("I;16", "PNG"), ("I;16B", "TIFF"), ("I", "TIFF")])
def test_deep_greys_stay_grey(mode, kind):
    out = BytesIO()
    Image.new(mode, (2, 2), 40000).save(out, kind)
    assert Picture.of(out.getvalue(), "row 1").image().getpixel((0, 0)) == (156, 156, 156)


def test_levels_of_no_known_range_are_refused():
    out = BytesIO()
    Image.new("F", (2, 2), 0.5).save(out, "TIFF")
    with pytest.raises(ConfigError, match="row 1 does not decode as a picture: its levels are"):
        Picture.of(out.getvalue(), "row 1").image()


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK"])
def test_every_kind_of_picture_becomes_rgb(mode):
    out = BytesIO()
    Image.new(mode, (2, 2)).save(out, "TIFF")
    assert Picture.of(out.getvalue(), "row 1").image().mode == "RGB"
