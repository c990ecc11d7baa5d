//! The program `maclip`, with the components of this repository.

use maclip_components as _;

fn main() -> std::process::ExitCode {
    maclip::main()
}
