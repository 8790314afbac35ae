//! The `fanwire` binary: reads the command line and runs the subcommand. Each subcommand is in its own file.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod backup;
mod bench;
mod check;
mod config;
mod connection;
mod health;
mod number;
mod publish;
mod serve;
mod stdin;
mod subscribe;
mod terminal;
mod token;

const EXAMPLES: &str = "\
Examples:
  fanwire serve                          start a broker on this machine
  fanwire sub 'chat.*'                   print messages as they are published
  fanwire pub chat.lobby 'Hello!'        publish a message, in another terminal

Each subcommand has its own examples: fanwire pub --help";

/// A publish/subscribe broker for live web applications.
#[derive(Debug, Parser)]
#[command(name = "fanwire", version, after_help = EXAMPLES, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
    Pub(publish::Args),
    Sub(subscribe::Args),
    Bench(bench::Args),
    Health(health::Args),
    Token(token::Args),
    Check(check::Args),
    Config(config::Args),
    Backup(backup::BackupArgs),
    Restore(backup::RestoreArgs),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Serve(args) => serve::run(args),
        Command::Pub(args) => publish::run(args),
        Command::Sub(args) => subscribe::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Health(args) => health::run(args),
        Command::Token(args) => token::run(args),
        Command::Check(args) => check::run(args),
        Command::Config(args) => config::run(args),
        Command::Backup(args) => backup::backup(args),
        Command::Restore(args) => backup::restore(args),
    }
}
