"""`python -m scenes COMMAND`: each command goes on where an earlier run of it stopped."""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image


def main() -> None:
    options = _parser().parse_args()
    options.run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scenes", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("scenes-run"), help="of the run")
    parser.add_argument("--seed", type=int, default=0)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _command(commands, "train-vae", _train_vae, "train the coder of pictures", steps=6000)
    _command(commands, "train-decoder", _train_decoder, "its decoder further, alone", steps=6000)
    adopt = _command(commands, "adopt", _adopt, "start from the model that ships, not from chance")
    adopt.add_argument("shipped", type=Path, help="models/library/tabgrid-scenes")
    _command(commands, "train-encoder", _train_encoder, "an adopted decoder's encoder", steps=1500)
    _command(commands, "train-text", _train_text, "teach the text encoder to read", steps=2500)
    draw = _command(commands, "draw", _draw, "draw scenes and code them, 5000 in a shard")
    draw.add_argument("--shards", type=int, default=8)
    draw.add_argument("--size", type=int, default=5000, help="scenes in a shard")
    train = _command(commands, "train", _train, "train the UNet with the text encoder", steps=8500)
    train.add_argument("--product", type=Path, required=True, help="pipeline of the best weights")
    judge = _command(commands, "judge", _judge, "judge a pipeline by the held-out prompts")
    judge.add_argument("pipeline", type=Path)
    judge.add_argument("--steps", type=int, default=8)
    judge.add_argument("--guidance", type=float, default=3.0)
    judge.add_argument("--sheet", type=Path, help="PNG with all the pictures")
    pack = _command(commands, "pack", _pack, "save the averaged weights as a pipeline")
    pack.add_argument("--product", type=Path, required=True)
    return parser


def _command(commands, name, run, help, steps: int = 0) -> argparse.ArgumentParser:  # type: ignore
    command: argparse.ArgumentParser = commands.add_parser(name, help=help)
    command.set_defaults(run=run)
    if steps:
        command.add_argument("--steps", type=int, default=steps, help="in all, not in this run")
    return command


# What needs torch is imported by the command that needs it: --help comes at once.


def _train_vae(options: argparse.Namespace) -> None:
    from scenes.train_vae import train_vae

    train_vae(options.folder, options.steps, options.seed)


def _train_decoder(options: argparse.Namespace) -> None:
    from scenes.train_vae import train_decoder

    train_decoder(options.folder, options.steps, options.seed)


def _adopt(options: argparse.Namespace) -> None:
    from scenes.adopt import adopt

    adopt(options.shipped, options.folder)


def _train_encoder(options: argparse.Namespace) -> None:
    from scenes.train_vae import train_encoder

    train_encoder(options.folder, options.steps, options.seed)


def _train_text(options: argparse.Namespace) -> None:
    from scenes.reading import train_reading

    train_reading(options.folder, options.steps, options.seed)


def _draw(options: argparse.Namespace) -> None:
    from scenes.architecture import tokenizer_of
    from scenes.dataset import write_shards
    from scenes.train_vae import load_vae
    from scenes.work import Log, set_up

    device = set_up(options.seed)
    write_shards(
        options.folder / "shards",
        range(options.shards),
        load_vae(options.folder).to(device).eval(),
        tokenizer_of(options.folder),
        Log(options.folder),
        size=options.size,
    )


def _train(options: argparse.Namespace) -> None:
    from scenes.train import train

    train(options.folder, options.product, options.steps, options.seed)


def _judge(options: argparse.Namespace) -> None:
    from scenes.prompts import held_out_prompts
    from scenes.sampling import judged, load_parts
    from scenes.work import set_up

    set_up(options.seed)
    score, pictures = judged(
        load_parts(options.pipeline),
        held_out_prompts(),
        steps=options.steps,
        guidance=options.guidance,
    )
    print(f"main {score.main:.1%}, number {score.number:.1%}, relation {score.relation:.1%}")
    if options.sheet:
        rows = pictures.reshape(-1, 20, 64, 64, 3).transpose(0, 2, 1, 3, 4)
        Image.fromarray(rows.reshape(-1, 20 * 64, 3)).save(options.sheet)


def _pack(options: argparse.Namespace) -> None:
    from scenes.architecture import save_pipeline
    from scenes.train import start
    from scenes.work import set_up

    run = start(options.folder, set_up(options.seed), 1.0, options.seed)
    save_pipeline(run.averaged, options.product)


if __name__ == "__main__":
    main()
