//! The nearest valid name to a misspelt one.

/// The candidate that `name` was probably meant to be, by its edit distance or a common beginning; `None` where none is
/// near.
pub fn suggest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = fold(name);
    let length = wanted.chars().count();
    // A name this long is not a typing error, and comparing it costs time.
    if length == 0 || length > 100 {
        return None;
    }
    let near = |candidate: &'a str| {
        let folded = fold(candidate);
        let distance = strsim::damerau_levenshtein(&wanted, &folded);
        let related = length >= 3 && (folded.starts_with(&wanted) || wanted.starts_with(&folded));
        let limit = (length.max(folded.chars().count()) / 3).max(1);
        (distance <= limit || related).then_some((distance, candidate))
    };
    candidates.into_iter().filter_map(near).min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

/// How many names are compared with a misspelt one, and how many a message lists.
const MOST_COMPARED: usize = 500;
const MOST_LISTED: usize = 60;

/// Hints for an unknown `name`: the nearest of `candidates`, where one is near, and the list of all.
pub fn name_help<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    // A longer list is no help, and comparing with all of it costs time.
    let candidates = if candidates.len() > MOST_COMPARED { &candidates[..MOST_COMPARED] } else { &candidates[..] };
    let near = suggest(name, candidates.iter().copied()).map(|near| format!("did you mean `{near}`?"));
    let listed = &candidates[..candidates.len().min(MOST_LISTED)];
    let more = if candidates.len() > MOST_LISTED { ", …" } else { "" };
    let list = match candidates.is_empty() {
        true => "nothing is allowed here".to_owned(),
        false => format!("allowed here: {}{more}", listed.join(", ")),
    };
    near.into_iter().chain([list]).collect()
}

/// `Top-K` and `top_k` count as the same name.
fn fold(name: &str) -> String {
    name.to_lowercase().replace(['-', ' '], "_")
}
