//! A process that ends with the test, however the test ends.

use std::{
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// Starts "$@", waits until its own standard input closes (the test ended, or was killed), then
/// asks the program to end.
const SCRIPT: &str = r#""$@" & program=$!; exec > /dev/null 2>&1; cat > /dev/null; kill -TERM $program; wait $program"#;

/// How long a program may take to end once it was asked to.
const PATIENCE: Duration = Duration::from_secs(15);

/// A process group of a shell and the program that it holds.
pub(crate) struct Leash {
    shell: Child,
}

impl Leash {
    /// Starts a program; `prepare` sets its environment and where its output goes.
    pub(crate) fn start<'a>(
        program: &Path,
        arguments: impl IntoIterator<Item = &'a str>,
        prepare: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Self {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "sh"]).arg(program).args(arguments);
        prepare(&mut command);
        let shell = command.stdin(Stdio::piped()).process_group(0).spawn().expect("sh starts");
        Self { shell }
    }

    /// The program's process number: the shell's first child.
    pub(crate) fn program(&self) -> u32 {
        let shell = self.shell.id();
        let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children"));
        let children = children.expect("the shell's children");
        children.split_whitespace().next().and_then(|pid| pid.parse().ok()).expect("a program")
    }

    pub(crate) fn stdout(&mut self) -> std::process::ChildStdout {
        self.shell.stdout.take().expect("stdout was piped")
    }

    /// Kills the program and everything that it started, as a power cut would.
    pub(crate) fn kill(&mut self) {
        signal("KILL", &format!("-{}", self.shell.id()));
        let _ = self.shell.wait();
    }

    /// Asks the program to end and waits for it; false when it had to be killed.
    pub(crate) fn stop(&mut self) -> bool {
        drop(self.shell.stdin.take());
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            match self.shell.try_wait() {
                Ok(Some(_)) => return true,
                Ok(None) => std::thread::sleep(Duration::from_millis(10)),
                Err(_) => break,
            }
        }
        self.kill();
        false
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Sends a signal by the shell's own means; a process that is gone already is no error.
pub(crate) fn signal(name: &str, process: &str) -> Option<ExitStatus> {
    Command::new("kill")
        .args([&format!("-{name}"), "--", process])
        .stderr(Stdio::null())
        .status()
        .ok()
}

/// Whether a process has ended; a dead one is listed until somebody asks how it ended.
pub(crate) fn is_gone(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

/// Waits until a process is gone.
pub(crate) async fn has_ended(pid: u32) {
    let look = async || is_gone(pid).then_some(());
    super::eventually(PATIENCE, look, || format!("process {pid} stays")).await;
}

#[test]
fn a_program_on_a_leash_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("pid");
    let script = format!("echo $$ > {}; exec sleep 600", note.display());
    let mut leash = Leash::start(Path::new("sh"), ["-c", script.as_str()], |command| command);
    let started = Instant::now();
    let pid = loop {
        match std::fs::read_to_string(&note) {
            Ok(text) if text.ends_with('\n') => break text,
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
        assert!(started.elapsed() < PATIENCE);
    };
    assert!(leash.stop());
    assert!(!Path::new("/proc").join(pid.trim()).exists());
}
