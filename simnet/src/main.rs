//! `longhaul-simnet`: runs a federation of simulated peers from a scenario.

mod cli;

use std::process::ExitCode;

use clap::Parser;

/// A simulated day makes and drops frames by the million; see `bench seeds`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::execute(cli::Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(cli::CHECK_FAILED),
        Err(error) => {
            eprintln!("error: {}", causes(&error));
            ExitCode::from(cli::BAD_INPUT)
        }
    }
}

/// The error and its causes in one line; a cause that is told already is left out.
fn causes(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |told, cause| {
        let cause = cause.to_string();
        match told.contains(&cause) {
            true => told,
            false if told.is_empty() => cause,
            false => format!("{told}: {cause}"),
        }
    })
}
