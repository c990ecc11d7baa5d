//! `maclip man [DIR]`: the manual page; into a folder, one page for each verb too.

use crate::terminal::{say, say_data};
use clap::Args;
use clap_mangen::Man;
use maclip_framework::error::{Error, Result};
use std::path::PathBuf;

/// Print the manual page
#[derive(Args)]
pub struct Arguments {
    /// Folder to write maclip.1, maclip-run.1, … to; without it, maclip.1 goes to stdout
    folder: Option<PathBuf>,
}

crate::verb!("man", 200, Arguments, man);

fn man(arguments: Arguments) -> Result<()> {
    let command = crate::command();
    let failed = |error: std::io::Error| Error::failed(format!("cannot write the manual page: {error}"));
    match arguments.folder {
        None => {
            let mut page = Vec::new();
            Man::new(command).render(&mut page).map_err(failed)?;
            say_data(String::from_utf8_lossy(&page).trim_end())
        }
        Some(folder) => {
            std::fs::create_dir_all(&folder).map_err(|error| Error::io("make the folder", &folder, error))?;
            clap_mangen::generate_to(command, &folder).map_err(failed)?;
            say(format!("wrote the pages to {}", folder.display()))
        }
    }
}
