"""scripts/check_tag.py lets a tag pass that names the version, with a section in the changelog."""

import pytest

import check_tag


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    client = tmp_path / "wrapper/signalwire_tokens/_sending.py"
    client.parent.mkdir(parents=True)
    client.write_text('"""Client."""\n\n__version__ = "1.2.3"\n', encoding="utf-8")
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## [1.2.3] - 2026-01-01\n", encoding="utf-8")
    monkeypatch.setattr(check_tag, "ROOT", tmp_path)
    return tmp_path


def test_the_tag_of_the_version_passes():
    check_tag.main("v1.2.3")


@pytest.mark.parametrize("tag", ["v1.2.4", "1.2.3", "v1.2.3-rc1", ""])
def test_another_tag_fails(tag):
    with pytest.raises(SystemExit, match=f"the tag is '{tag}', and the version is '1.2.3'"):
        check_tag.main(tag)


def test_a_version_without_a_section_in_the_changelog_fails(repository):
    (repository / "CHANGELOG.md").write_text("# Changelog\n\n## [Unreleased]\n\n## [1.2.30]\n", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"no section \[1.2.3\]"):
        check_tag.main("v1.2.3")
