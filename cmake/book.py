"""mkdocs takes a page called index.md for the front page; ours is README.md, and index.md is the chapter on the ordered index."""
from mkdocs.structure.files import File, InclusionLevel


def on_files(files, config):
    chapter = files.get_file_from_path("index.md")
    front = files.get_file_from_path("README.md") or File(
        "README.md", config.docs_dir, config.site_dir, config.use_directory_urls)
    chapter.dest_uri = "ordered-index.html"
    front.dest_uri = "index.html"
    front.inclusion = InclusionLevel.INCLUDED
    if files.get_file_from_path("README.md") is None:
        files.append(front)
    return files
