//! An error with its causes, in one line for logs and reports: an error of ours says what went wrong at its own
//! level only, and those of libraries may say some of what is below once more.

/// What failed, and why, from the outside in; what was said already is not repeated.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |mut text, cause| {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        text
    })
}
