//! Where the trainer's executable is: this program starts it, for runs and for models that answer
//! live, and links nothing of it.

use entity::{message, message::KeyedMessage};
use std::path::{Path, PathBuf};

/// `--trainer`, else `trainer` beside this executable.
pub fn find_trainer(given: Option<&Path>) -> Result<PathBuf, KeyedMessage> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => std::env::current_exe()
            .map_err(|error| KeyedMessage::from(&error))?
            .with_file_name("trainer")
            .with_extension(std::env::consts::EXE_EXTENSION),
    };
    if !path.is_file() {
        return Err(message!(
            "trainer-missing",
            "no trainer at {path}: build it (`cargo build -p trainer`), name it with --trainer PATH, or say --worker none and start `trainer worker` elsewhere",
            path = path.display()
        ));
    }
    // Absolute, so that a bare name is not looked up in PATH instead.
    std::path::absolute(path).map_err(|error| KeyedMessage::from(&error))
}
