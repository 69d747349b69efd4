"""``python -m saiseld`` is the ``saiseld`` command."""

from saiseld.cli.main import main

if __name__ == "__main__":
    main()
