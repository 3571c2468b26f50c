//! What may have been meant.

/// The candidate that is closest to `word`, unless all are far from it.
pub(crate) fn closest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let near = (word.chars().count() / 4).max(2);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= near && *distance < candidate.len())
        .min()
        .map(|(_, candidate)| candidate)
}
