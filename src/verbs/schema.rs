//! `maclip schema`: the JSON Schema of a whole recipe, for editors. recipes/schema.json is its output.

use crate::terminal::say_data;
use clap::Args;
use maclip_framework::error::Result;

/// Print the JSON Schema of recipes, for editors
#[derive(Args)]
pub struct Arguments {}

crate::verb!("schema", 100, Arguments, schema);

fn schema(_: Arguments) -> Result<()> {
    say_data(format!("{:#}", maclip_framework::recipe::schema::recipe()))
}
