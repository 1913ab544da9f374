//! Every code of a diagnostic, in one table: what it means and what usually helps.
//!
//! Codes are stable: scripts and searches rely on them, so one that is gone is never given to
//! something else. `docs/reference/diagnostics.md` is written from this table. First two digits:
//! 00 reading, 01 YAML, 02 schema, 03 values, 04 across objects, 05 injection, 09 not supported yet.

#[cfg(test)]
mod tests;

/// One kind of problem.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// `MC` and four digits.
    pub code: &'static str,
    /// What is wrong.
    pub summary: &'static str,
    /// What usually helps.
    pub help: &'static str,
}

macro_rules! codes {
    ($($name:ident $code:literal $summary:literal $help:literal)*) => {
        $(#[doc = $summary]
        pub const $name: &Code =
            &Code { code: $code, summary: $summary, help: $help };)*

        /// Every code, ascending.
        pub const ALL: &[&Code] = &[$($name),*];
    };
}

/// Those of documents, and files, that were not read at all.
pub(super) const UNREAD: &[&Code] = &[
    UNREADABLE,
    NOT_A_FILE,
    TOO_LARGE,
    NOT_UTF8,
    NO_FILES,
    SYNTAX,
    DUPLICATE_KEY,
    TOO_DEEP,
    TOO_MANY_NODES,
    UNSUPPORTED_YAML,
    TOO_MANY_PROBLEMS,
];

codes! {
    UNREADABLE "MC0001" "the file cannot be read"
        "check the path and your rights to it"
    NOT_A_FILE "MC0002" "neither a regular file nor a directory: devices, sockets and pipes are refused"
        "name a file or a directory, or pipe the rules in and name `-`"
    TOO_LARGE "MC0003" "more than 16 MiB in one file, or 64 MiB in all"
        "split the rules over several files and runs"
    NOT_UTF8 "MC0004" "the file is not UTF-8"
        "save it as UTF-8"
    NO_FILES "MC0005" "a directory without `*.yaml`, `*.yml` or `*.json`"
        "name the right directory, or add `-R` to look into the directories below it"
    SYNTAX "MC0101" "not well-formed YAML or JSON"
        "indent with spaces, close every quote and bracket"
    UNKNOWN_FIELD "MC0102" "a field that this kind does not have"
        "correct its name, or take it away"
    DUPLICATE_KEY "MC0103" "a key that stands twice in one mapping"
        "keep one of the two"
    TOO_DEEP "MC0104" "nested deeper than 64 levels"
        "no rule needs that; look for a missing line break or bracket"
    TOO_MANY_NODES "MC0105" "more than 100,000 values in one document, or more than 1,000,000 (of texts 64 bytes each) repeated by aliases in all"
        "write the document without nested aliases, or split it"
    UNSUPPORTED_YAML "MC0106" "YAML that rules may not use: tags, merge keys, keys that are no text"
        "write the value out in full"
    TOO_MANY_PROBLEMS "MC0107" "more than 1,000 problems in one file, or 10,000 in all; the rest is not shown"
        "mend these first"
    NOT_A_MAPPING "MC0201" "a document that is no mapping"
        "begin it with `apiVersion:` and `kind:`"
    MISSING_FIELD "MC0202" "a required field is not there"
        "add it"
    WRONG_TYPE "MC0203" "a value of another type than the field's"
        "write the type that the message names; quote what is meant as text"
    UNKNOWN_KIND "MC0204" "a kind that does not exist in a group that meshctl knows"
        "correct the kind"
    UNKNOWN_VERSION "MC0205" "an apiVersion of a known group that this build does not know"
        "write the version that the message names, or use a newer meshctl"
    FOREIGN_KIND "MC0206" "a kind that meshctl has nothing to do with"
        "take the document away, or apply it with the tool it belongs to"
    TOO_MANY_ITEMS "MC0207" "more items in a list than the kind allows, or fewer"
        "split the object, or add what is missing"
    WRONG_SCOPE "MC0208" "a namespace on a kind that stands outside of namespaces"
        "take `metadata.namespace` away"
    WRONG_UNION "MC0209" "a field that does not belong to the chosen type"
        "write the field that the type names, and no other"
    BAD_NAME "MC0301" "a name that is not valid"
        "use lower case letters, digits and `-`"
    BAD_PORT "MC0302" "a port that is not a whole number from 1 to 65535"
        "write a whole number from 1 to 65535, without quotes"
    BAD_NUMBER "MC0303" "a number out of its range, or not whole"
        "write a whole number within the range, without quotes"
    BAD_DURATION "MC0304" "a duration without a unit, or not in the form of GEP-2257"
        "write it like `250ms`, `10s` or `1h30m`"
    BAD_PERCENT "MC0305" "a share that is not a percentage from 0% to 100%"
        "write it like `1%` or `0.5%`"
    UNKNOWN_WORD "MC0306" "a word that is not one of those allowed"
        "write one of these words"
    BAD_PATH "MC0307" "a path that can match nothing"
        "begin it with `/`; no `//`, dot segments, query, fragment or needless encoding"
    BAD_REGEX "MC0308" "a regular expression that does not compile, or is too long or too large"
        "the syntax is that of RE2: no look-around, no back references"
    BAD_HEADER "MC0309" "a header name or value that may not be sent, or that the proxy itself writes"
        "names are letters, digits and `-`; values have no line breaks"
    BAD_TEXT "MC0310" "a text that is empty, too long, or has characters that may not be there"
        "write it as the message says"
    DUPLICATE_ITEM "MC0311" "an item that stands twice in one list"
        "keep one of the two"
    CONTRADICTION "MC0312" "two values that contradict one another"
        "change one of the two"
    BAD_TIME "MC0313" "a time that is not in the form of RFC 3339"
        "write it like `2026-12-01T00:00:00Z`"
    BAD_SIZE "MC0314" "a size without a unit, or out of its range"
        "write it like `64KiB`"
    SAME_OBJECT "MC0401" "two documents of one kind, namespace and name"
        "keep one of the two, or rename one"
    MISSING_BACKEND "MC0402" "a backend that is not there: its share is answered with 500"
        "declare the service or the port, or start a workload of that name"
    NO_WEIGHT "MC0403" "a rule that leads nowhere: no backend, or all weights 0; it answers 500"
        "give at least one backend a weight above 0"
    HEADLESS_PARENT "MC0404" "a route whose parent is a headless service: it is not accepted"
        "give the service an address, or attach the route to another service"
    SAME_TARGET "MC0405" "two policies for one service: the older one holds"
        "merge them into one"
    IGNORED_HOSTNAMES "MC0406" "`hostnames` on a route of a mesh: ignored, as GAMMA says"
        "take them away; the service that is called decides"
    MISSING_PORT "MC0407" "a route whose parent has no such port: it never applies"
        "name a port that the service has, or none for all of them"
    NO_EFFECT "MC0408" "a setting that has no effect on what else is written"
        "take it away, or add what it is about"
    NEVER_MATCHES "MC0409" "a match that never decides: another takes all of its requests first"
        "take it away, or make the other one narrower; `meshctl describe service NAME` shows the order"
    SHORT_TIMEOUT "MC0410" "a time that ends before what is to happen within it"
        "make it longer, or its parts shorter"
    UNSAFE_RETRY "MC0411" "`methods: all` where the call may have been carried out: it may happen twice"
        "say `methods: idempotent`, or take the conditions away that the message names"
    EXPIRED "MC0412" "a fault whose time is over: it does nothing"
        "give it a later `expires`, or delete it"
    OUT_OF_REACH "MC0413" "a limit that is never reached, because another one is reached first"
        "lower it, or raise the other"
    TOO_FEW_ENDPOINTS "MC0414" "a setting that needs more endpoints than the service has"
        "run more of them, or take the setting away"
    MISSING_SERVICE "MC0415" "a rule about a service that is not there: it holds for nothing until it is"
        "correct the name or the namespace, declare the service, or start a workload of that name"
    UNKNOWN_CALLER "MC0416" "callers that are not there: no workload has that identity, or is in that namespace"
        "correct the name, or start the workload"
    TAKEN_NAME "MC0417" "a service whose name workloads make that its selector leaves out: they could not register again"
        "choose another name, or a selector that selects them"
    BAD_MARK "MC0501" "a label or annotation under `meshctl.dev/` that does not exist, or a value that it cannot have"
        "correct its name or its value, or take it away"
    NOT_INJECTABLE "MC0502" "a pod that cannot be given a sidecar"
        "change what the message names, or label the pod `meshctl.dev/inject: disabled`"
    INJECTION_RISK "MC0503" "something about a pod that weakens its sidecar, or has no effect where it stands"
        "change it, or leave it where that is what you want"
    SHARED_TEXT "MC0504" "a document that cannot be changed as text without changing something else"
        "write aliases (`*name`) and merge keys (`<<`) out in full"
    KIND_NOT_YET "MC0901" "a kind that this version does not support yet"
        "take the document away until a version supports it"
    FIELD_NOT_YET "MC0902" "a field that this version does not support yet"
        "take the field away until a version supports it; nothing is ignored silently"
    VALUE_NOT_YET "MC0903" "a value that this version does not support yet"
        "choose one of the values that the message names"
}
