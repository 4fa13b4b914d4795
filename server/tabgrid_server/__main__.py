"""`python -m tabgrid_server` is `tabgrid`, for where no script was installed."""

from tabgrid_server.cli.main import main

if __name__ == "__main__":
    main()
