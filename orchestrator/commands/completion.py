"""Print what makes a shell complete corral's command lines, with the services of the project at hand.

source <(corral completion bash)                  in ~/.bashrc
source <(corral completion zsh)                   in ~/.zshrc, after compinit
corral completion fish | source                   in ~/.config/fish/config.fish
"""

import argparse

from orchestrator.command_line import invocation

SHELLS = ("bash", "zsh", "fish")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, metavar="|".join(SHELLS), help="which shell")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from argcomplete import shell_integration

    called.out.write(shell_integration.shellcode(["corral"], shell=arguments.shell).lstrip())
    return 0
