//! Which options stay where a recipe changes the component of a slot.

use super::options::{OptionDoc, options};
use super::{Info, slots};
use maclip_language::Vocabulary;

inventory::submit! { Vocabulary { shared } }

/// The options that both components have with the same kind of value in the same range. `key` is that of the slot, or
/// of an option that holds a component; then the slot is the only one that knows both names.
fn shared(key: &str, before: &str, after: &str) -> Vec<String> {
    let both = |slot: &super::SlotInfo| {
        let infos: Vec<&'static Info> = (slot.components)().into_iter().map(|candidate| candidate.info).collect();
        let of = |name: &str| infos.iter().find(|info| info.name == name).copied();
        of(before).zip(of(after))
    };
    let of_key = slots().find(|slot| slot.name == key).and_then(&both);
    let found = of_key.or_else(|| {
        let mut all = slots().filter_map(&both);
        all.next().filter(|_| all.next().is_none())
    });
    let Some((before, after)) = found else { return Vec::new() };
    let (old, new) = (documented(before), documented(after));
    let names = old.iter().map(|option| &option.path).filter(|path| !path.contains(['.', '[']));
    names.filter(|name| same(name, &old, &new)).cloned().collect()
}

fn documented(info: &Info) -> Vec<OptionDoc> {
    options(&(info.schema)().into())
}

/// Whether the option `name` and all parts of it take the same values in both components.
fn same(name: &str, old: &[OptionDoc], new: &[OptionDoc]) -> bool {
    let of = |all: &[OptionDoc]| -> Vec<_> {
        let inside = |option: &&OptionDoc| {
            option.path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let shape = |option: &OptionDoc| {
            let names: Vec<String> = option.choices.iter().map(|(choice, _)| choice.clone()).collect();
            (option.path.clone(), option.kind.clone(), option.range.clone(), names)
        };
        all.iter().filter(inside).map(shape).collect()
    };
    let (old, new) = (of(old), of(new));
    !old.is_empty() && old == new
}
