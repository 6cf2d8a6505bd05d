"""The application that every command registers with."""

import typer

from tf_autosample import __version__

app = typer.Typer(
    help="Find the negative sampler that suits your model and data, train, export and serve.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback(invoke_without_command=True)
def _options(version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit()
