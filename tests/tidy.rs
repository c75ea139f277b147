//! Checks of the sources: imports that point up, files that import each other in a circle, files without a head,
//! comments that are too wide, paths of somebody's machine or to files that do not exist, and type names with two
//! meanings.
//!
//! It reads the sources as text: `use` declarations and paths that begin with `crate`, `super` or `self`, outside of
//! comments, strings and `#[cfg(test)]` modules. A name that a `mod.rs` re-exports counts as imported from the file
//! that defines it.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test, in helpers as well")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The folders whose files other files name.
const FOLDERS: &[&str] = &["src/", "tests/", "scripts/", "benches/", "fuzz/", "loom/", "docs/", "examples/"];

/// The floors of `src/`, from the bottom: a room may import from floors below its own and from itself. Rooms on the
/// same floor do not import each other. `src/lib.rs` describes them.
const FLOORS: &[&[&str]] = &[
    &["bounded_file", "escape", "human", "published", "sync", "time"],
    &["sys"],
    &["privileges", "sandbox", "supervisor"],
    &["store"],
    &["logging"],
    &["packet"],
    &["capture", "flow"],
    &["detect", "enrich"],
    &["alert"],
    &["report"],
    &["api", "engine"],
    &["config"],
    // What the fuzz targets run; it is in no program.
    &["fuzzing"],
    &["cli"],
];

/// Files of `flow/` that still import each other in circles; the rest of `src/` has none.
const CIRCLES_ALLOWED_IN: &str = "flow";

/// Names that several rooms define on purpose, such as one `Options` for each floor.
const SHARED_TYPE_NAMES: &[&str] = &["Options"];

/// Characters of a line of comment.
const LINE_CHARS_MAX: usize = 120;

#[test]
fn imports_point_down() {
    let floor = |room: &str| {
        FLOORS
            .iter()
            .position(|floor| floor.contains(&room))
            .unwrap_or_else(|| panic!("{room} is on no floor"))
    };
    let mut wrong = Vec::new();
    for (file, imports) in imports() {
        let Some(from) = room(&file) else { continue };
        for to in imports.iter().filter_map(|import| room(import)).filter(|to| *to != from) {
            if floor(&to) >= floor(&from) {
                wrong.push(format!("{file} imports from {to}"));
            }
        }
    }
    assert!(wrong.is_empty(), "imports point down only:\n{}", wrong.join("\n"));
}

#[test]
fn files_do_not_import_each_other_in_circles() {
    let imports = imports();
    let reachable: BTreeMap<&String, BTreeSet<&String>> =
        imports.keys().map(|file| (file, reachable(file, &imports))).collect();
    let circular: Vec<&str> = imports
        .keys()
        .filter(|file| room(file).is_some_and(|room| room != CIRCLES_ALLOWED_IN))
        .filter(|file| reachable[file].contains(file))
        .map(String::as_str)
        .collect();
    assert!(circular.is_empty(), "these files are part of import circles:\n{}", circular.join("\n"));
}

#[test]
fn every_source_file_has_a_head() {
    let files = sources(&["src", "tests", "benches", "examples", "fuzz/fuzz_targets"]);
    let headless: Vec<String> = files
        .into_iter()
        .filter(|file| !fs::read_to_string(file).unwrap().starts_with("//! "))
        // A fuzz target begins with the attribute that makes it one.
        .filter(|file| !fs::read_to_string(file).unwrap().starts_with("#![no_main]\n"))
        .map(|file| file.display().to_string())
        .collect();
    assert!(headless.is_empty(), "these files have no head:\n{}", headless.join("\n"));
}

#[test]
fn comments_are_narrow_and_nothing_names_a_machine() {
    let mut wrong = Vec::new();
    let machine_paths = ["home", "root"].map(|folder| format!("/{folder}/"));
    for file in texts() {
        let text = fs::read_to_string(&file).unwrap();
        let is_rust = file.extension().is_some_and(|extension| extension == "rs");
        for (number, line) in text.lines().enumerate() {
            let place = format!("{}:{}", file.display(), number + 1);
            // rustfmt keeps code to its width, and leaves comments alone.
            let is_comment = is_rust && line.trim_start().starts_with("//");
            if is_comment && line.chars().count() > LINE_CHARS_MAX {
                wrong.push(format!("{place}: longer than {LINE_CHARS_MAX} characters"));
            }
            if machine_paths.iter().any(|path| line.contains(path.as_str())) {
                wrong.push(format!("{place}: a path of some machine"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_that_are_named_exist() {
    let mut wrong = Vec::new();
    for file in texts() {
        let text = fs::read_to_string(&file).unwrap();
        for (number, line) in text.lines().enumerate() {
            // The dashboard is a project of its own, whose files name each other from its root.
            let bases = [root().to_owned(), root().join("src/api/dashboard")];
            let missing = named_files(line).filter(|name| !bases.iter().any(|base| base.join(name).exists()));
            wrong.extend(missing.map(|name| format!("{}:{}: {name}", file.display(), number + 1)));
        }
    }
    assert!(wrong.is_empty(), "these are not there:\n{}", wrong.join("\n"));
}

#[test]
fn a_type_name_outside_flow_has_one_meaning() {
    let mut files_by_name: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, code) in code_by_file().into_iter().filter(|(file, _)| !file.starts_with("flow/")) {
        for (name, is_associated) in type_names(&code) {
            if !is_associated && !SHARED_TYPE_NAMES.contains(&name.as_str()) {
                files_by_name.entry(name).or_default().insert(file.clone());
            }
        }
    }
    let ambiguous: Vec<_> = files_by_name.into_iter().filter(|(_, files)| files.len() > 1).collect();
    assert!(ambiguous.is_empty(), "these names mean several types: {ambiguous:#?}");
}

/// The room of a file below `src/`: its folder or, at the top, its own name; `None` for the crates' root files.
fn room(file: &str) -> Option<String> {
    let room = file.split('/').next().unwrap().trim_end_matches(".rs");
    (!matches!(room, "lib" | "main")).then(|| room.to_owned())
}

/// The files that can be reached from a file by one import or more.
fn reachable<'i>(from: &str, imports: &'i BTreeMap<String, BTreeSet<String>>) -> BTreeSet<&'i String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&String> = imports[from].iter().collect();
    while let Some(file) = open.pop() {
        if found.insert(file) {
            open.extend(&imports[file]);
        }
    }
    found
}

/// The files that each file below `src/` imports from.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let code = code_by_file();
    let modules: BTreeMap<Vec<String>, String> =
        code.keys().map(|file| (module_of(file), file.clone())).collect();
    let exports: BTreeMap<Vec<String>, BTreeMap<String, Vec<String>>> =
        modules.iter().map(|(module, file)| (module.clone(), exports(module, &code[file]))).collect();
    let files_of = |file: &String| {
        let module = module_of(file);
        // What a `mod.rs` re-exports from below itself is no import; what it re-exports from elsewhere is one.
        let is_import =
            |path: &PathUse| !path.is_export || matches!(path.segments[0].as_str(), "crate" | "super");
        let paths = paths(&code[file]).into_iter().filter(is_import);
        let absolute = paths.filter_map(|path| absolute(&module, &path.segments));
        absolute.filter_map(|path| defining_file(&path, &modules, &exports)).filter(|to| to != file).collect()
    };
    code.keys().map(|file| (file.clone(), files_of(file))).collect()
}

/// The module that a file is: `flow/window/counts.rs` is `flow::window::counts`.
fn module_of(file: &str) -> Vec<String> {
    let mut module: Vec<String> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(module.last().unwrap().as_str(), "mod" | "lib" | "main") {
        module.pop();
    }
    module
}

/// What a module re-exports from modules below it: the name, and the path of what it names.
fn exports(module: &[String], code: &str) -> BTreeMap<String, Vec<String>> {
    let exports = paths(code).into_iter().filter(|path| path.is_export);
    let named = exports.filter_map(|path| {
        let mut segments = path.segments;
        if !matches!(segments[0].as_str(), "crate" | "self" | "super") {
            segments.insert(0, "self".to_owned());
        }
        Some((path.name, absolute(module, &segments)?))
    });
    named.collect()
}

/// A path without `crate`, `self` and `super`; `None` where it begins with another crate.
fn absolute(module: &[String], segments: &[String]) -> Option<Vec<String>> {
    let mut base = match segments[0].as_str() {
        "crate" => Vec::new(),
        "self" | "super" => module.to_vec(),
        _ => return None,
    };
    for segment in segments {
        match segment.as_str() {
            "crate" | "self" => {}
            "super" => {
                base.pop();
            }
            name => base.push(name.to_owned()),
        }
    }
    Some(base)
}

/// The file that defines what a path names: that of the innermost module on it, through re-exports.
fn defining_file(
    path: &[String],
    modules: &BTreeMap<Vec<String>, String>,
    exports: &BTreeMap<Vec<String>, BTreeMap<String, Vec<String>>>,
) -> Option<String> {
    let depth = (1..=path.len()).rev().find(|&depth| modules.contains_key(&path[..depth]))?;
    let module = &path[..depth];
    match path.get(depth).and_then(|name| exports[module].get(name)) {
        Some(target) if target != path => defining_file(target, modules, exports),
        _ => Some(modules[module].clone()),
    }
}

/// A path in the code, as far as it names modules and one item.
struct PathUse {
    segments: Vec<String>,
    /// The name by which the item is known here.
    name: String,
    /// True for a `pub use`.
    is_export: bool,
}

/// All imports, and all other paths that begin with `crate`, `self` or `super`.
fn paths(code: &str) -> Vec<PathUse> {
    let mut found = Vec::new();
    let mut rest = String::new();
    for statement in code.split_inclusive(';') {
        let declaration = statement.rfind("use ").filter(|at| {
            let before = statement[..*at].rsplit(['\n', '}', '{', ';']).next().unwrap_or_default().trim();
            before.is_empty() || before == "pub" || before.starts_with("pub(")
        });
        match declaration {
            Some(at) => {
                let before = statement[..at].rsplit('\n').next().unwrap_or_default().trim();
                let mut leaves = Vec::new();
                use_tree(statement[at + 4..].trim_end_matches(';').trim(), &mut Vec::new(), &mut leaves);
                found.extend(leaves.into_iter().map(|(segments, name)| PathUse {
                    segments,
                    name,
                    is_export: before.starts_with("pub"),
                }));
                rest.push_str(&statement[..at]);
            }
            None => rest.push_str(statement),
        }
    }
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in rest.match_indices(start) {
            let is_word =
                rest[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':');
            if is_word {
                let end = rest[at..].find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
                let path = &rest[at..end.map_or(rest.len(), |end| at + end)];
                let segments: Vec<String> =
                    path.split("::").filter(|segment| !segment.is_empty()).map(str::to_owned).collect();
                let name = segments.last().unwrap().clone();
                found.push(PathUse { segments, name, is_export: false });
            }
        }
    }
    found
}

/// The leaves of a `use` declaration: `a::{b, c as d}` has `a::b` and `a::c`, the latter named `d`.
fn use_tree(tree: &str, prefix: &mut Vec<String>, leaves: &mut Vec<(Vec<String>, String)>) {
    let depth = prefix.len();
    match tree.find('{') {
        Some(brace) => {
            let group = tree[brace + 1..tree.rfind('}').unwrap()].to_owned();
            prefix.extend(
                tree[..brace].split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned),
            );
            for part in split_group(&group) {
                use_tree(part.trim(), prefix, leaves);
            }
        }
        None if tree.is_empty() => {}
        None => {
            let (path, name) =
                tree.split_once(" as ").map_or((tree, None), |(path, name)| (path, Some(name)));
            let parts: Vec<String> = path.split("::").map(|part| part.trim().to_owned()).collect();
            let mut segments = prefix.clone();
            segments.extend(parts.into_iter().filter(|part| part != "self" || prefix.is_empty()));
            let name = name.map_or_else(|| segments.last().unwrap().clone(), |name| name.trim().to_owned());
            leaves.push((segments, name));
        }
    }
    prefix.truncate(depth);
}

/// Splits at the commas that are in no inner braces.
fn split_group(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&group[start..]);
    parts
}

/// The types that the code defines, and whether they are associated types.
fn type_names(code: &str) -> Vec<(String, bool)> {
    let mut names = Vec::new();
    for line in code.lines() {
        let declared = line.trim_start();
        let declared = match declared.strip_prefix("pub(") {
            Some(scope) => scope.split_once(')').map_or("", |(_, rest)| rest).trim_start(),
            None => declared.strip_prefix("pub ").unwrap_or(declared),
        };
        let (keyword, rest) = declared.split_once(' ').unwrap_or_default();
        if matches!(keyword, "struct" | "enum" | "trait" | "type" | "union") {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            names.push((rest[..end].to_owned(), keyword == "type" && line.starts_with(' ')));
        }
    }
    names
}

/// The code of each file below `src/`, by its path there: without comments, text in quotes, and unit tests.
fn code_by_file() -> BTreeMap<String, String> {
    let files = sources(&["src"]);
    let code = files.iter().filter(|file| !is_test(file)).map(|file| {
        let name = file.strip_prefix(root().join("src")).unwrap().display().to_string();
        (name, code(&fs::read_to_string(file).unwrap()))
    });
    code.collect()
}

/// True for the file of a `#[cfg(test)] mod` beside or below the file that it tests, and for what only tests include.
fn is_test(file: &Path) -> bool {
    let name = file.file_name().unwrap();
    name == "tests.rs" || name == "sample.rs" || file.components().any(|part| part.as_os_str() == "tests")
}

fn code(text: &str) -> String {
    let is_test_module = |at: &usize| {
        let module = text[*at..].lines().nth(1).unwrap_or_default();
        module.split_once("mod ").is_some_and(|(before, _)| before.is_empty() || before.starts_with("pub"))
    };
    let tests = text.match_indices("#[cfg(test)]\n").map(|(at, _)| at).find(is_test_module);
    let text = &text[..tests.unwrap_or(text.len())];
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\''") {
            rest.chars().take_while(|&c| c != '"' && c != '\\').count() + 2
        } else if let Some(hashes) = raw_string(rest) {
            let end = format!("\"{}", "#".repeat(hashes));
            let start = hashes + 2;
            rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len())
        } else if c == '"' {
            quoted(rest)
        } else {
            0
        };
        if skipped == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            rest = &rest[skipped..];
        }
    }
    code
}

/// The number of `#` of the raw string that the text begins with, if it does.
fn raw_string(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('r')?;
    let hashes = rest.chars().take_while(|&c| c == '#').count();
    rest[hashes..].starts_with('"').then_some(hashes)
}

/// The length of the string literal that the text begins with.
fn quoted(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Rust files below some folders of the project.
fn sources(folders: &[&str]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    folders.iter().for_each(|folder| walk(&root().join(folder), &mut files));
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rs"));
    files
}

/// All files written by hand: sources, scripts, documents, configuration.
fn texts() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in
        ["src", "tests", "benches", "examples", "fuzz/fuzz_targets", "scripts", "docs", ".ci", ".github"]
    {
        walk(&root().join(folder), &mut files);
    }
    for entry in fs::read_dir(root()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            files.push(path);
        }
    }
    // What cannot be read as text was not written by hand.
    files.retain(|file| fs::read_to_string(file).is_ok());
    files
}

/// The paths on a line that begin at the root of the project and end in a file's extension.
fn named_files(line: &str) -> impl Iterator<Item = &str> {
    let is_path = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let words = line.split(move |c| !is_path(c)).map(|word| word.trim_end_matches('.'));
    words.filter(|word| {
        let extension = word.rsplit_once('.').map(|(_, extension)| extension);
        FOLDERS.iter().any(|folder| word.starts_with(folder))
            && extension
                .is_some_and(|extension| ["rs", "py", "md", "sh", "toml", "ts", "mjs"].contains(&extension))
    })
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        let is_installed = path.ends_with("node_modules") || path.ends_with("__pycache__");
        if path.is_dir() && !is_installed {
            walk(&path, files);
        } else if path.is_file() {
            files.push(path);
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
