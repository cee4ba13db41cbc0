//! The vRouter daemon: reads its configuration and runs until it is told to stop.
//!
//! Exit codes: 0 stopped when asked to (or the check passed), 1 could not start or failed, 2 a bad
//! command line or configuration.

use std::collections::BTreeMap;
use std::env;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use vrouter::config::{self, ConfigError, DEFAULT_FILE, FILE_VARIABLE, Loaded, settings};

fn main() -> ExitCode {
    let matches = command_line().get_matches();
    // Options may stand on either side of the command.
    let check_only = matches.subcommand_matches("check-config");
    let matches = check_only.unwrap_or(&matches);
    if matches.get_flag("print-sample") {
        print!("{}", config::sample());
        return ExitCode::SUCCESS;
    }
    let loaded = match load(matches) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("vrouterd: {error}");
            return ExitCode::from(2);
        }
    };
    if matches.get_flag("print-config") {
        print!("{}", loaded.to_text());
        return ExitCode::SUCCESS;
    }
    if check_only.is_some() {
        return check(&loaded);
    }
    start_logging(&loaded);
    match vrouter::boot::run(&loaded.config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vrouterd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn command_line() -> Command {
    let file = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .global(true);
    let file = file.help(format!("The configuration [default: {DEFAULT_FILE}] [env: {FILE_VARIABLE}]"));
    let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).global(true);
    let print = flag("print-config").help("Print the configuration in effect, and who set what");
    let sample =
        flag("print-sample").help("Print a sample of the configuration file with every setting explained");
    let overrides = settings().into_iter().map(|setting| {
        let help = format!("{} [env: {}]", setting.help.join(" "), setting.variable());
        let arg = Arg::new(setting.path()).long(setting.option()).value_name("VALUE").help(help);
        arg.help_heading("Settings").hide_short_help(true).global(true)
    });
    let check = Command::new("check-config")
        .about("Check the configuration and the objects in it, and start nothing");
    Command::new("vrouterd")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A virtual router in user space. --help lists every setting.")
        .args([file, print, sample])
        .args(overrides)
        .subcommand(check)
        .max_term_width(100)
}

fn load(matches: &ArgMatches) -> Result<Loaded, ConfigError> {
    let environment = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("VROUTER_"))
        .collect();
    let option = |path: String| Some((path.clone(), matches.get_one::<String>(&path)?.clone()));
    let options: BTreeMap<_, _> = settings().iter().filter_map(|setting| option(setting.path())).collect();
    config::load(matches.get_one::<PathBuf>("config").map(PathBuf::as_path), &environment, &options)
}

fn check(loaded: &Loaded) -> ExitCode {
    match loaded.config.objects() {
        Ok(objects) => {
            let file = loaded
                .file
                .as_ref()
                .map_or_else(|| "the defaults".to_owned(), |file| file.display().to_string());
            println!("{file}: good, {} objects", objects.len());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("vrouterd: {error}");
            ExitCode::from(2)
        }
    }
}

/// Logs go to standard error; the level has been checked.
fn start_logging(loaded: &Loaded) {
    let filter = tracing_subscriber::EnvFilter::try_new(&loaded.config.log.level).unwrap_or_default();
    let ansi = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(ansi).with_writer(std::io::stderr).init();
}
