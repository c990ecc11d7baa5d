//! The program `maclip`, with the components of this crate beside the shipped ones.

use maclip_components as _;
use own_component as _;

fn main() -> std::process::ExitCode {
    maclip::main()
}
