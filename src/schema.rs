//! `maclip schema`: the JSON Schema of a whole recipe, for editors: recipes/schema.json.

use crate::terminal::say;
use clap::Args;
use maclip_framework::error::Result;

#[derive(Args)]
pub struct Arguments {}

pub fn schema(_: Arguments) -> Result<()> {
    say(format!("{:#}", maclip_framework::schema::recipe()))
}
