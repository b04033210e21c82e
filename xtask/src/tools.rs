//! The programs the chores need, and how the missing ones are got.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Triple of the microcontrollers the core must link for, and of the emulated boards.
pub const BOARD: &str = "thumbv7m-none-eabi";

/// The workspace's folder.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// The cargo that runs this, in the workspace's folder.
pub fn cargo_command() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs cargo; whether it succeeded.
pub fn cargo(words: &[&str]) -> bool {
    succeeds(cargo_command().args(words))
}

/// Runs a command; whether it succeeded.
pub fn succeeds(command: &mut Command) -> bool {
    match command.status() {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("{}: {error}", command.get_program().display());
            false
        }
    }
}

/// Whether a program is in the path.
pub fn exists(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    })
}

/// Adds a target of the compiler where it is missing.
pub fn install_target(target: &str) -> Result<(), String> {
    let output = Command::new("rustup")
        .args(["target", "list", "--installed"])
        .current_dir(root())
        .output();
    let installed = match &output {
        Ok(output) => String::from_utf8_lossy(&output.stdout),
        // Without rustup the target may be there all the same; the build will tell.
        Err(_) => return Ok(()),
    };
    if installed.lines().any(|line| line == target)
        || succeeds(
            Command::new("rustup")
                .args(["target", "add", target])
                .current_dir(root()),
        )
    {
        Ok(())
    } else {
        Err(format!("type: rustup target add {target}"))
    }
}

/// Installs tmux, WeeChat and irssi where they are missing and that is possible; otherwise says what to type.
pub fn install_clients() -> Result<String, String> {
    install(&[
        ("tmux", "tmux"),
        ("weechat", "weechat-curses"),
        ("irssi", "irssi"),
    ])
}

/// Installs the emulator of the firmware's boards where it is missing and that is possible; otherwise says what to type.
pub fn install_emulator() -> Result<String, String> {
    install(&[("qemu-system-arm", "qemu-system-arm")])
}

/// Installs programs, each from a Debian package, where they are missing and that is possible; otherwise says what to type.
fn install(needed: &[(&str, &str)]) -> Result<String, String> {
    let missing: Vec<&str> = needed
        .iter()
        .filter(|(program, _)| !exists(program))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        let programs: Vec<_> = needed.iter().map(|(program, _)| *program).collect();
        return Ok(format!("installed already: {}", programs.join(", ")));
    }
    let by_hand = format!("type: apt-get install {}", missing.join(" "));
    if !exists("apt-get") || !is_root() {
        return Err(by_hand);
    }
    let apt = |words: &[&str]| {
        succeeds(
            Command::new("apt-get")
                .args(words)
                .env("DEBIAN_FRONTEND", "noninteractive")
                .stdin(Stdio::null())
                .stdout(Stdio::null()),
        )
    };
    let install = [
        &["install", "-y", "--no-install-recommends"],
        missing.as_slice(),
    ]
    .concat();
    if apt(&install) || (apt(&["update"]) && apt(&install)) {
        Ok(format!("installed {}", missing.join(", ")))
    } else {
        Err(by_hand)
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
