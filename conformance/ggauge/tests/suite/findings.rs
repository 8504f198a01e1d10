//! Findings are true to the line. What is said of somebody else's source quotes it, on a line `source: PACKAGE PLACE WORDS`; here that source is
//! opened at each place, and the words must stand there. Every line number that any text of ours gives must be such a place.

use globset::Glob;
use machine::cache::Cache;
use smith::Recipe;
use std::{
    collections::{BTreeMap, BTreeSet},
    env, fmt, fs, io,
    path::{Path, PathBuf},
    sync::LazyLock,
};
use studies::vector_files;
use supply::adapters;

const LOCK: &str = include_str!("../../../../Cargo.lock");
const PYTHON: &str = include_str!("../../../workers/gguf-py/requirements.txt");
const NODE: &str = include_str!("../../../workers/huggingface-gguf/package.json");

/// Where entries with an id of their own stand.
const ENTRIES: [&str; 3] = ["conformance/policy/FINDINGS.md", "corpora/regressions/FINDINGS.md", "corpora/vectors/FINDINGS.md"];

/// The longest quotation: it is to be found by, not to be read.
const LONGEST: usize = 60;

/// The shortest that tells a line from others. A whole line may be shorter.
const SHORTEST: usize = 6;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Lines of a file, from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lines {
    first: usize,
    last: usize,
}

impl Lines {
    /// `131` or `131-133`.
    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        Some(Self { first: number(first)?, last: number(last)? })
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

/// A line `source: PACKAGE [RELEASE] PLACE WORDS`: words that stand on the first line of a place, and on its last where it has several.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    package: String,
    /// A release other than the one that is pinned.
    release: Option<String>,
    path: String,
    /// None in our own files, whose lines move.
    lines: Option<Lines>,
    words: Vec<String>,
}

/// What begins a line that quotes a source: in Markdown, in TOML and in Rust.
fn quotation(line: &str) -> Option<&str> {
    let line = line.trim_start();
    ["- source: ", "# source: ", "// source: "].iter().find_map(|label| line.strip_prefix(label))
}

impl Source {
    /// Reads what follows `source: `.
    fn parse(text: &str) -> Result<Self, String> {
        let pieces: Vec<&str> = text.trim_end().split('`').collect();
        let (package, place, words) = match pieces[..] {
            [package, place, " ", words, ""] => (package, place, vec![words]),
            [package, place, " ", first, " to ", last, ""] => (package, place, vec![first, last]),
            _ => {
                return Err(format!(
                    "`{text}` is not of the form: PACKAGE `PATH:LINE` `WORDS`, or PACKAGE `PATH:FIRST-LAST` `WORDS` to `WORDS`"
                ));
            }
        };
        let (path, lines) = match place.split_once(':') {
            Some((path, lines)) => (path, Some(Lines::parse(lines).ok_or_else(|| format!("`{place}` has no line"))?)),
            None => (place, None),
        };
        let several = lines.is_some_and(|lines| lines.first != lines.last);
        if several != (words.len() == 2) {
            return Err(format!(
                "`{place}`: one line has words of its own, several have those of the first `to` those of the last"
            ));
        }
        let mut names = package.split_whitespace().map(str::to_owned);
        let (package, release) = (names.next().unwrap_or_default(), names.next());
        if lines.is_none() && package != OURS {
            return Err(format!("`{place}` has no line"));
        }
        Ok(Self { package, release, path: path.into(), lines, words: words.into_iter().map(str::to_owned).collect() })
    }

    /// True where a text that gives a place gives this one. Both ends of several lines are quoted.
    fn covers(&self, place: &Place) -> bool {
        let path = place.path.strip_prefix("llama.cpp/").unwrap_or(place.path);
        let is_file = self.path == path || self.path.strip_suffix(path).is_some_and(|folder| folder.ends_with('/'));
        let Some(lines) = self.lines else { return false };
        let one = place.lines.first == place.lines.last;
        is_file && (lines == place.lines || one && [lines.first, lines.last].contains(&place.lines.first))
    }

    /// Opens the source in the package's folder, and looks whether the words stand where they are said to.
    fn check(&self, folder: &Path, shelf: &mut Shelf) -> Result<(), String> {
        let text = shelf.open(&folder.join(&self.path)).map_err(|error| format!("{self}: {error}"))?;
        let Some(lines) = self.lines else {
            return if text.iter().any(|line| line.contains(&self.words[0])) {
                Ok(())
            } else {
                Err(format!("{self}: `{}` stands nowhere there", self.words[0]))
            };
        };
        for (number, words) in [lines.first, lines.last].into_iter().zip(&self.words) {
            let line = text.get(number.wrapping_sub(1)).ok_or_else(|| format!("{self}: there is no line {number}"))?;
            if words.chars().count() > LONGEST {
                return Err(format!("{self}: `{words}` is longer than {LONGEST} characters: quote what the line is told by"));
            }
            if words.trim().is_empty() || words.chars().count() < SHORTEST && words != line.trim() {
                return Err(format!("{self}: `{words}` tells this line from no other"));
            }
            if !line.contains(words) {
                let stands =
                    text.iter().zip(1..).filter(|(line, _)| line.contains(words)).map(|(_, number)| number.to_string());
                let stands: Vec<String> = stands.collect();
                return Err(format!(
                    "{self}: line {number} is `{}` and not `{words}`, which stands on [{}]",
                    line.trim(),
                    stands.join(", ")
                ));
            }
        }
        Ok(())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.package)?;
        if let Some(release) = &self.release {
            write!(f, " {release}")?;
        }
        write!(f, " {}", self.path)?;
        self.lines.map_or(Ok(()), |lines| write!(f, ":{lines}"))
    }
}

/// Sources that were opened, by line.
#[derive(Default)]
struct Shelf(BTreeMap<PathBuf, Vec<String>>);

impl Shelf {
    fn open(&mut self, path: &Path) -> io::Result<&[String]> {
        if !self.0.contains_key(path) {
            let text = fs::read(path)?;
            self.0.insert(path.to_owned(), String::from_utf8_lossy(&text).lines().map(str::to_owned).collect());
        }
        Ok(&self.0[path])
    }
}

/// A place that a text gives.
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    /// The file that was named last before the line, often its name alone. Empty where none was.
    path: &'a str,
    lines: Lines,
}

/// The places in a text: a file and its lines behind a colon, a colon and lines alone, "line" and a number, "lines" and several or the first "to" the
/// last. What does not name its file means the one that was named last.
fn places(text: &str) -> Vec<Place<'_>> {
    const ENDINGS: [&str; 11] = [".rs", ".cpp", ".hpp", ".c", ".h", ".cu", ".comp", ".py", ".ts", ".js", ".mjs"];
    let mut found: Vec<Place> = Vec::new();
    // `counting` where a number would be that of a line, `to` where it would be the last of several.
    let (mut path, mut counting, mut to) = ("", false, false);
    for word in text.split_whitespace() {
        let core = word.trim_matches(|character| "`'\"(),;.:[]".contains(character));
        let (name, rest) = core.split_once(':').unwrap_or((core, ""));
        let is_path = ENDINGS.iter().any(|ending| name.ends_with(ending))
            && name.chars().all(|character| character.is_ascii_alphanumeric() || "_./-".contains(character));
        let after_colon = word.trim_start_matches(['`', '(']).starts_with(':');
        if is_path && core != "llama.cpp" {
            path = name;
            // A column may follow.
            let lines = Lines::parse(rest.split(':').next().unwrap_or_default());
            counting = lines.is_some();
            found.extend(lines.map(|lines| Place { path, lines }));
        } else if let Some(lines) = Lines::parse(core).filter(|_| counting || after_colon) {
            match found.last_mut().filter(|_| to) {
                Some(place) => place.lines.last = lines.last,
                None => found.push(Place { path, lines }),
            }
            counting = true;
        } else if ["line", "lines", "Line", "Lines"].contains(&core) {
            counting = true;
        } else {
            counting &= ["to", "and", "or"].contains(&core);
        }
        to = counting && core == "to";
        counting &= !word.trim_end_matches(['`', '"']).ends_with([';', '.', ')']) || ["line", "lines"].contains(&core);
    }
    found
}

/// A piece of a file that is read as one: an entry, a row, or the whole file.
struct Chunk {
    file: String,
    /// Its first words, to find it by.
    name: String,
    prose: String,
    sources: Vec<Source>,
    /// What is wrong with its lines `source: ...`.
    wrong: Vec<String>,
}

impl Chunk {
    fn new(file: &str, text: &str) -> Self {
        let (quoted, prose): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| quotation(line).is_some());
        let entry = prose.iter().find_map(|line| line.strip_prefix("finding = "));
        let name: Vec<&str> = entry.iter().chain(&prose).flat_map(|line| line.split_whitespace()).take(3).collect();
        let mut chunk = Self {
            file: file.to_owned(),
            name: name.join(" "),
            prose: prose.join("\n"),
            sources: Vec::new(),
            wrong: Vec::new(),
        };
        for source in quoted.into_iter().filter_map(quotation).map(Source::parse) {
            match source {
                Ok(source) => chunk.sources.push(source),
                Err(why) => chunk.wrong.push(why),
            }
        }
        chunk
    }

    /// The pieces of a file. Of Rust, only what is said in comments.
    fn read(file: &str, text: &str) -> Vec<Self> {
        let separator = match Path::new(file).extension().and_then(|extension| extension.to_str()) {
            Some("rs") => {
                let comments: Vec<&str> = text.lines().filter(|line| line.trim_start().starts_with("//")).collect();
                return vec![Self::new(file, &comments.join("\n"))];
            }
            Some("md") => "\n### ",
            _ => "\n[[",
        };
        text.split(separator).map(|piece| Self::new(file, piece)).collect()
    }

    /// The id of an entry.
    fn id(&self) -> &str {
        self.prose.split_whitespace().next().unwrap_or_default()
    }

    fn is_entry(&self) -> bool {
        ENTRIES.contains(&self.file.as_str()) && self.id().contains('-') && self.prose.contains("\n- ")
    }
}

impl fmt::Display for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.file, self.name)
    }
}

/// Every text of this repository that could say something of a source, in pieces.
fn chunks() -> Vec<Chunk> {
    let mut files: Vec<String> = Vec::new();
    for folder in ["conformance", "corpora", "fuzz/src", "fuzz/fuzz_targets", "golden"] {
        collect(&root().join(folder), folder, &mut files);
    }
    files.extend(["README.md", "CHANGELOG.md", "CONTRIBUTING.md"].map(str::to_owned));
    files.sort();
    let mut chunks = Vec::new();
    for file in files {
        let text = fs::read_to_string(root().join(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        chunks.extend(Chunk::read(&file, &text));
    }
    chunks
}

fn collect(folder: &Path, shown: &str, files: &mut Vec<String>) {
    // A folder that this checkout does not have says nothing.
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let entry = entry.unwrap();
        let shown = format!("{shown}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), &shown, files);
        } else if entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "md" || extension == "toml" || extension == "rs")
        {
            files.push(shown);
        }
    }
}

/// The sources of every entry, by its id, which may stand in more than one file.
fn by_id(chunks: &[Chunk]) -> BTreeMap<&str, Vec<&Source>> {
    let mut by_id: BTreeMap<&str, Vec<&Source>> = BTreeMap::new();
    for chunk in chunks.iter().filter(|chunk| chunk.is_entry()) {
        by_id.entry(chunk.id()).or_default().extend(&chunk.sources);
    }
    by_id
}

/// What a text says without quoting it.
fn uncited(chunk: &Chunk, chunks: &[Chunk], by_id: &BTreeMap<&str, Vec<&Source>>) -> Vec<String> {
    // What gives the words of others, such as a report of an upgrade, has their quotations.
    let is_reader =
        !ENTRIES.contains(&chunk.file.as_str()) && Path::new(&chunk.file).extension().is_some_and(|end| end == "md");
    let words = chunk.prose.split(|character: char| !character.is_ascii_alphanumeric() && character != '-');
    let named: BTreeSet<&str> = words.filter(|word| by_id.contains_key(word)).collect();
    let of_others = named.into_iter().flat_map(|id| by_id[id].iter().copied());
    let of_all = chunks.iter().filter(|_| is_reader).flat_map(|chunk| &chunk.sources);
    // The comments of a file quote for all of it.
    let sources: Vec<&Source> = chunk.sources.iter().chain(of_others).chain(of_all).collect();
    let bare = places(&chunk.prose).into_iter().filter(|place| !sources.iter().any(|source| source.covers(place)));
    bare.map(|place| format!("{chunk}: nothing is quoted of {}:{}", place.path, place.lines)).collect()
}

/// The name of what is our own.
const OURS: &str = "ggauge";

/// The versions of each package in the lock file that come from a registry.
static LOCKED: LazyLock<BTreeMap<String, Vec<String>>> = LazyLock::new(|| {
    let lock: toml::Table = toml::from_str(LOCK).unwrap();
    let mut locked: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in lock["package"].as_array().unwrap().iter().filter(|row| row.get("source").is_some()) {
        let text = |key: &str| row[key].as_str().unwrap().to_owned();
        locked.entry(text("name")).or_default().push(text("version"));
    }
    locked
});

fn locked(package: &str) -> &'static [String] {
    LOCKED.get(package).map_or(&[], Vec::as_slice)
}

/// Where the source of a package is on this machine, or why it is not.
fn folder(package: &str, release: Option<&str>) -> Result<PathBuf, String> {
    if package == OURS {
        return Ok(root());
    }
    let (package, inside) = if package == "llama.cpp" { ("llama-cpp-sys-2", "llama.cpp") } else { (package, "") };
    let version = match (release, locked(package)) {
        (Some(release), _) => release.to_owned(),
        (None, [version]) => version.clone(),
        (None, versions) => return Err(format!("Cargo.lock has {} versions of {package}, and not one", versions.len())),
    };
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| env::home_dir().map(|home| home.join(".cargo"))).unwrap_or_default();
    let registries = fs::read_dir(home.join("registry/src")).into_iter().flatten().filter_map(Result::ok);
    let mut folders = registries.map(|registry| registry.path().join(format!("{package}-{version}")).join(inside));
    let missing = || format!("the source of {package} {version} is not in {}; next: cargo fetch --locked", home.display());
    folders.find(|folder| folder.is_dir()).ok_or_else(missing)
}

/// Readers in other languages, whose sources `ggauge fetch` brings.
const FOREIGN: [&str; 2] = ["gguf-py", "huggingface-gguf"];

fn is_pinned_crate(source: &Source) -> bool {
    source.release.is_none() && !FOREIGN.contains(&source.package.as_str())
}

/// Says what is wrong, all at once.
#[track_caller]
fn assert_nothing(wrong: &[String]) {
    let next = "next: read the source there, and mend place, words and what is said of them (CONTRIBUTING.md, Citing a source)";
    assert!(wrong.is_empty(), "{} places:\n{}\n{next}", wrong.len(), wrong.join("\n"));
}

#[test]
fn words_stand_in_the_pinned_sources_where_they_are_said_to() {
    let chunks = chunks();
    let (mut wrong, mut shelf): (Vec<String>, Shelf) = Default::default();
    let mut checked: BTreeMap<&str, usize> = BTreeMap::new();
    for chunk in &chunks {
        wrong.extend(chunk.wrong.iter().map(|why| format!("{chunk}: {why}")));
        for source in chunk.sources.iter().filter(|source| is_pinned_crate(source)) {
            let found = folder(&source.package, None).and_then(|folder| source.check(&folder, &mut shelf));
            wrong.extend(found.err().map(|why| format!("{chunk}: {why}")));
            *checked.entry(&source.package).or_default() += 1;
        }
    }
    assert_nothing(&wrong);
    for package in ["llama.cpp", "candle-core", "candle-transformers", "gguf", "gguf-rs", "gguf-rs-lib", "ggus"] {
        assert!(checked.get(package).is_some_and(|&count| count >= 5), "{package} is hardly quoted: {checked:?}");
    }
}

/// Sources that are only on machines where something else was done first: what is not here is counted and named.
#[test]
#[ignore = "needs the environments of `ggauge fetch readers`"]
fn words_stand_in_readers_of_other_languages_and_in_other_releases() {
    let installed = adapters::install(&Cache::find().unwrap()).unwrap();
    let foreign = |package: &str| {
        let (_, made) = installed.iter().find(|(name, _)| *name == package)?;
        let environment = made.as_ref().ok()?;
        let libraries = fs::read_dir(environment.join("environment/lib")).into_iter().flatten().filter_map(Result::ok);
        let mut python = libraries.map(|library| library.path().join("site-packages"));
        Some(if package == "gguf-py" { python.next()? } else { environment.join("node_modules/@huggingface/gguf") })
    };
    let chunks = chunks();
    let (mut wrong, mut unchecked): (Vec<String>, BTreeMap<String, usize>) = (Vec::new(), BTreeMap::new());
    let (mut count, mut shelf) = (0, Shelf::default());
    for chunk in &chunks {
        for source in chunk.sources.iter().filter(|source| !is_pinned_crate(source)) {
            let release = source.release.as_deref();
            let folder = if release.is_some() { folder(&source.package, release).ok() } else { foreign(&source.package) };
            let Some(folder) = folder else {
                *unchecked.entry(format!("{} {}", source.package, release.unwrap_or_default())).or_default() += 1;
                continue;
            };
            wrong.extend(source.check(&folder, &mut shelf).err().map(|why| format!("{chunk}: {why}")));
            count += usize::from(release.is_none());
        }
    }
    for (package, count) in unchecked {
        eprintln!("not checked: {count} places in {package}, which is not on this machine");
    }
    assert_nothing(&wrong);
    assert!(count > 0, "no reader in another language is here: install python3 or Node, then `ggauge fetch readers`");
}

#[test]
fn every_place_that_is_given_is_quoted() {
    let chunks = chunks();
    let by_id = by_id(&chunks);
    let wrong: Vec<String> = chunks.iter().flat_map(|chunk| uncited(chunk, &chunks, &by_id)).collect();
    assert_nothing(&wrong);
    for chunk in chunks.iter().filter(|chunk| chunk.is_entry()) {
        assert!(!chunk.sources.is_empty(), "{chunk} quotes nothing: it needs a line `- source: ...`");
    }
}

/// The places by which fuzzing knows a finding are those of its entry.
#[test]
fn fuzzing_knows_findings_by_places_of_their_entries() {
    let chunks = chunks();
    let by_id = by_id(&chunks);
    let mut count = 0;
    for known in fuzzing::known::KNOWN {
        for place in known.words().iter().flat_map(|words| places(words)) {
            let quoted = by_id[known.id].iter().any(|source| source.covers(&place));
            assert!(quoted, "{} is known by {}:{}, of which its entry quotes nothing", known.id, place.path, place.lines);
            count += 1;
        }
    }
    assert!(count > 20, "{count} places");
}

/// What names a package with a release behind it, such as "candle-core and candle-transformers 0.11.1".
fn releases(text: &str) -> Vec<(&str, &str)> {
    let (mut names, mut found) = (Vec::new(), Vec::new());
    for word in text.split_whitespace() {
        let core = word.trim_matches(|character| "`'\"(),;.:".contains(character));
        let is_release = core.split('.').count() == 3 && core.split('.').all(|part| part.parse::<u32>().is_ok());
        if is_release {
            found.extend(names.drain(..).map(|name| (name, core)));
        } else if !locked(core).is_empty() || PYTHON.contains(&format!("\n{core}==")) || NODE.contains(&format!("\"{core}\"")) {
            names.push(core);
        } else if core != "and" {
            names.clear();
        }
    }
    found
}

#[test]
fn findings_are_of_the_releases_that_are_pinned() {
    let is_pinned = |name: &str, release: &str| {
        let python = PYTHON.contains(&format!("\n{name}=={release} "));
        let node = NODE.contains(&format!("\"{name}\": \"{release}\""));
        python || node || locked(name).iter().any(|version| version == release)
    };
    let mut headers: BTreeSet<&str> = BTreeSet::new();
    let chunks = chunks();
    for chunk in &chunks {
        let sidecar = chunk.file.starts_with("corpora/regressions/") && chunk.prose.contains("\nversion = ");
        let policy =
            ["conformance/policy/expectations.toml", "conformance/policy/tokenizers.toml"].contains(&chunk.file.as_str());
        let header = ENTRIES.contains(&chunk.file.as_str()) && chunk.prose.contains("Versions: ");
        if !(sidecar || policy || header) {
            continue;
        }
        let releases = releases(&chunk.prose);
        for (name, release) in &releases {
            assert!(
                is_pinned(name, release),
                "{chunk} is of {name} {release}, which is not the pinned one: read again what it says"
            );
        }
        assert!(!(sidecar || header) || !releases.is_empty(), "{chunk} names no release");
        headers.extend(header.then_some(chunk.file.as_str()));
    }
    assert_eq!(headers.len(), ENTRIES.len(), "{headers:?}");
}

/// What an entry names to show it exists: vectors, inputs and recipes.
#[test]
fn what_shows_a_finding_exists() {
    let mut vectors: BTreeSet<String> = BTreeSet::new();
    for group in vector_files::groups().unwrap() {
        vectors.extend(group.tests.iter().map(|vector| format!("{}/{}", group.group, vector.name)));
    }
    let is_vector = |name: &str| {
        let glob = Glob::new(name).unwrap().compile_matcher();
        vectors.iter().any(|vector| glob.is_match(vector))
    };
    let groups: BTreeSet<&str> = vectors.iter().filter_map(|name| name.split('/').next()).collect();
    let chunks = chunks();
    let mut count = 0;
    for chunk in chunks.iter().filter(|chunk| chunk.is_entry()) {
        let quoted = |label: &str| -> Vec<&str> {
            let line = chunk.prose.lines().find_map(|line| line.strip_prefix(label)).unwrap_or_default();
            line.split('`').skip(1).step_by(2).collect()
        };
        match chunk.file.as_str() {
            "corpora/vectors/FINDINGS.md" => {
                let smallest = quoted("- smallest: ");
                let patterns = quoted("- vectors: ");
                let covers =
                    |name: &str| patterns.iter().any(|pattern| Glob::new(pattern).unwrap().compile_matcher().is_match(name));
                assert!(
                    matches!(smallest[..], [name] if vectors.contains(name) && covers(name)),
                    "{chunk}: {smallest:?} is no vector of it"
                );
                for name in chunk.prose.split('`').skip(1).step_by(2) {
                    let of_group = name.split_once('/').is_some_and(|(group, _)| groups.contains(group));
                    assert!(!of_group || is_vector(name), "{chunk}: there is no vector {name}");
                }
            }
            "corpora/regressions/FINDINGS.md" => {
                let shows = quoted("- shows: ");
                let exists = |name: &&str| root().join(format!("corpora/regressions/{name}.bin")).is_file();
                assert!(!shows.is_empty() && shows.iter().all(exists), "{chunk}: {shows:?}");
            }
            _ => {
                let shows = quoted("- shows: ");
                let recipe = shows.first().and_then(|shown| shown.split_whitespace().next()).unwrap_or_default();
                assert!(recipe.parse::<Recipe>().is_ok(), "{chunk}: `{recipe}` is no recipe");
            }
        }
        count += 1;
    }
    assert!(count > 200, "{count} entries");
}

#[test]
fn places_are_found_in_every_way_of_writing_them() {
    let told = |text| places(text).iter().map(|place| format!("{} {}", place.path, place.lines)).collect::<Vec<_>>().join("; ");
    for (text, expected) in [
        ("`src/a.rs:131-133` multiplies", "src/a.rs 131-133"),
        (
            "`a.cpp:330` and `:339` convert; lines 584, 593 and 609 load",
            "a.cpp 330; a.cpp 339; a.cpp 584; a.cpp 593; a.cpp 609",
        ),
        ("src/a.rs line 60 puts 3 of 4, lines 156 to 166 do not", "src/a.rs 60; src/a.rs 156-166"),
        ("(`a.cpp:135-137` and 339, `b.cpp:2545`). Line 2 of 1996", "a.cpp 135-137; a.cpp 339; b.cpp 2545; b.cpp 2"),
        ("llama.cpp has 300 and `llama.cpp/src/a.cpp:7:24: error`", "llama.cpp/src/a.cpp 7"),
        ("line 5", " 5"),
        ("in `a.py` 7 are wrong, issue 12, 1 GiB of lines", ""),
    ] {
        assert_eq!(told(text), expected, "{text}");
    }
}

/// The test notices what it is for: a line that moved, words that changed, a line without words, and a quotation that could stand anywhere.
#[test]
fn a_wrong_line_wrong_words_and_a_line_without_words_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.rs"), "fn first() {\n    second();\n}\n").unwrap();
    let check = |text: &str| Source::parse(text).and_then(|source| source.check(folder.path(), &mut Shelf::default()));
    assert_eq!(check("x `a.rs:2` `second();`"), Ok(()));
    assert_eq!(check("x `a.rs:1-3` `fn first()` to `}`"), Ok(()));
    for (text, part) in [
        ("x `a.rs:1` `second();`", "line 1 is `fn first() {` and not `second();`, which stands on [2]"),
        ("x `a.rs:2` `third();`", "which stands on []"),
        ("x `a.rs:1-2` `fn first()` to `}`", "tells this line from no other"),
        ("x `a.rs:4` `second();`", "there is no line 4"),
        ("x `a.rs:2` `sec`", "tells this line from no other"),
        ("x `b.rs:2` `second();`", "x b.rs:2: "),
        ("x `a.rs` `second();`", "has no line"),
        ("x `a.rs:1-2` `fn first()`", "several have those of the first"),
        ("x a.rs:2 second();", "is not of the form"),
    ] {
        let why = check(text).unwrap_err();
        assert!(why.contains(part), "{text}: {why}");
    }
    let entry = "# F\n\n### X-1 It is wrong\n- cause: `src/a.rs:2` and line 3 are\n- source: x `src/a.rs:2` `second();`\n";
    let chunks = Chunk::read("corpora/vectors/FINDINGS.md", entry);
    let by_id = by_id(&chunks);
    let wrong: Vec<String> = chunks.iter().flat_map(|chunk| uncited(chunk, &chunks, &by_id)).collect();
    assert_eq!(wrong, ["corpora/vectors/FINDINGS.md, X-1 It is: nothing is quoted of src/a.rs:3"]);
    // What names an entry has its quotations.
    let row = Chunk::new("conformance/policy/expectations.toml", "finding = \"X-1\"\nreason = \"a.rs line 2, and not line 4\"");
    assert_eq!(uncited(&row, &chunks, &by_id).len(), 1);
    // A package that is pinned and not here is an error that says what to do.
    let why = self::folder("candle-core", Some("0.0.1")).unwrap_err();
    assert!(why.contains("candle-core 0.0.1") && why.contains("next: cargo fetch"), "{why}");
    assert_eq!(releases("Versions: candle-core and candle-nn 0.11.1, gguf 0.19.0 (Python)").len(), 3);
}
