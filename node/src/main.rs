//! `longhaul`: the peer of a federation, for people who run devices.

use std::process::ExitCode;

fn main() -> ExitCode {
    longhaul_node::shell::cli::main()
}
