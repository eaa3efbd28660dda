"""``python -m longlag`` is ``longlag``."""

from longlag import main

if __name__ == "__main__":
    main()
