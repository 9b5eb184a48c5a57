"""`python -m deploy.observability`: writes the files, and says which."""

from __future__ import annotations

from deploy.observability.files import made

if __name__ == "__main__":
    for path, text in made().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path)  # noqa: T201 - what a command says
