//! Modules inside a crate: no circle, and the orders that `CONTRIBUTING.md` gives.
//!
//! A folder is one room for what is beside it, and its `mod.rs` is its door: it lists the rooms inside and holds what they share, so what goes
//! between a door and its own rooms is no arrow.

use super::source::{Named, Source, crates, is_word, paths, text};
use std::collections::{BTreeMap, BTreeSet};

/// A module's place below the root of its crate; the root itself has none.
type Place = Vec<String>;

/// An arrow between two modules, and the words that are taken along it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Arrow {
    from: Place,
    to: Place,
    words: String,
}

fn place(path: &str) -> Place {
    let stem = path.trim_end_matches(".rs").trim_end_matches("/mod");
    if ["lib", "main"].contains(&stem) { Vec::new() } else { stem.split('/').map(str::to_owned).collect() }
}

/// The programs and the library of a crate, each with the files that it is made of.
fn targets(sources: &[Source]) -> Vec<Vec<&Source>> {
    let declared = |source: &Source| -> BTreeSet<String> {
        let tokens = source.tokens();
        let names = tokens.windows(2).filter(|pair| is_word(pair.first(), "mod"));
        names.map(|pair| pair[1].to_string()).collect()
    };
    let program = sources.iter().find(|source| source.path == "main.rs");
    let of_program = program.map(declared).unwrap_or_default();
    let is_of_program = |source: &&Source| match place(&source.path).first() {
        None => source.path == "main.rs",
        Some(first) => of_program.contains(first),
    };
    let (program, library) = sources.iter().partition(is_of_program);
    vec![program, library]
}

/// Every arrow between the modules of a target; what is given on is followed to where it comes from.
fn arrows(sources: &[&Source]) -> BTreeSet<Arrow> {
    let files: BTreeMap<Place, Vec<Named>> =
        sources.iter().map(|source| (place(&source.path), paths(&source.tokens()))).collect();
    let given_on: BTreeMap<(Place, &str), &Named> = files
        .iter()
        .flat_map(|(place, names)| names.iter().filter(|named| named.given_on).map(move |named| (place, named)))
        .filter_map(|(place, named)| Some(((place.clone(), named.parts.last()?.as_str()), named)))
        .collect();
    let mut arrows = BTreeSet::new();
    for (from, names) in &files {
        for named in names.iter().filter(|named| !named.given_on) {
            let Some(to) = follow(from, named, &files, &given_on, 8) else { continue };
            if *from != to {
                arrows.insert(Arrow { from: from.clone(), to, words: named.parts.join("::") });
            }
        }
    }
    arrows
}

/// The module that a path leads to; `None` out of the crate, or within inline modules of the file.
fn follow(
    from: &Place,
    named: &Named,
    files: &BTreeMap<Place, Vec<Named>>,
    given_on: &BTreeMap<(Place, &str), &Named>,
    steps: usize,
) -> Option<Place> {
    let mut parts = named.parts.iter().map(String::as_str).peekable();
    let mut inline = named.inline;
    let mut at = from.clone();
    if parts.next_if_eq(&"crate").is_some() {
        at.clear();
    } else if parts.peek().is_some_and(|&part| part == "self" || part == "super") {
        while let Some(part) = parts.next_if(|&part| part == "self" || part == "super") {
            if part == "super" && inline > 0 {
                inline -= 1;
            } else if part == "super" {
                at.pop()?;
            }
        }
    } else {
        let mut child = from.clone();
        child.push((*parts.peek()?).to_owned());
        files.get(&child)?;
    }
    for part in parts {
        let mut child = at.clone();
        child.push(part.to_owned());
        if files.contains_key(&child) {
            at = child;
        } else if let Some(origin) = given_on.get(&(at.clone(), part)).filter(|_| steps > 0) {
            return follow(&at, origin, files, given_on, steps - 1).or(Some(at));
        } else {
            break;
        }
    }
    Some(at)
}

/// The arrows between rooms that lie beside each other: which folder they lie in, and from which to which.
fn beside(arrows: &BTreeSet<Arrow>) -> BTreeMap<Place, BTreeMap<(&str, &str), &Arrow>> {
    let mut levels: BTreeMap<Place, BTreeMap<(&str, &str), &Arrow>> = BTreeMap::new();
    for arrow in arrows {
        let common = arrow.from.iter().zip(&arrow.to).take_while(|(a, b)| a == b).count();
        if let (Some(from), Some(to)) = (arrow.from.get(common), arrow.to.get(common)) {
            levels.entry(arrow.from[..common].to_vec()).or_default().entry((from, to)).or_insert(arrow);
        }
    }
    levels
}

/// Every arrow that lies on a circle of rooms beside each other.
fn circles(arrows: &BTreeSet<Arrow>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (folder, level) in beside(arrows) {
        let leads_back = |from: &str, to: &str| {
            let mut seen = BTreeSet::new();
            let mut next = vec![to];
            while let Some(room) = next.pop() {
                if seen.insert(room) {
                    next.extend(level.keys().filter(|(start, _)| *start == room).map(|(_, end)| *end));
                }
            }
            seen.contains(from)
        };
        for ((from, to), arrow) in level.iter().filter(|((from, to), _)| leads_back(from, to)) {
            let folder = if folder.is_empty() { String::new() } else { format!(" in {}", folder.join("/")) };
            wrong.push(format!("{from} -> {to}{folder}: {} takes `{}`", arrow.from.join("/"), arrow.words));
        }
    }
    wrong
}

/// An order inside a crate: each room names only those before it; rooms of one step, which `name/*` and commas stand for, do not name each other.
struct Order {
    of: String,
    steps: Vec<Vec<String>>,
}

impl Order {
    /// Reads `crate: room, room < folder/* < room`.
    fn read(line: &str) -> Option<Self> {
        let (of, steps) = line.split_once(": ")?;
        let rooms = |step: &str| step.split(',').map(|room| room.trim().to_owned()).collect();
        Some(Self { of: of.into(), steps: steps.split('<').map(rooms).collect() })
    }

    /// Those of `CONTRIBUTING.md`: the block behind this line.
    fn all(contributing: &str) -> Vec<Self> {
        let block = contributing.split("```order\n").nth(1).and_then(|rest| rest.split("```").next());
        block.into_iter().flat_map(str::lines).filter_map(Self::read).collect()
    }

    /// Which step a module belongs to, and which room of it.
    fn step(&self, module: &Place) -> Option<(usize, String)> {
        let path = if module.is_empty() { "main".to_owned() } else { module.join("/") };
        let fits = |room: &str| match room.strip_suffix("/*") {
            Some(folder) => module.len() > 1 && path.starts_with(&format!("{folder}/")),
            None => path == room || path.starts_with(&format!("{room}/")),
        };
        let of_rooms = |rooms: &Vec<String>| rooms.iter().find(|room| fits(room)).cloned();
        let all: Vec<_> = self.steps.iter().enumerate().filter_map(|(at, rooms)| Some((at, of_rooms(rooms)?))).collect();
        // `commands/*` says more than `commands`.
        let (at, room) = all.iter().find(|(_, room)| room.ends_with("/*")).or_else(|| all.first())?;
        Some((*at, if room.ends_with("/*") { path } else { room.clone() }))
    }

    fn broken(&self, arrows: &BTreeSet<Arrow>) -> Vec<String> {
        let mut wrong = Vec::new();
        for arrow in arrows {
            let (Some((from, room)), Some((to, other))) = (self.step(&arrow.from), self.step(&arrow.to)) else { continue };
            if to > from || (to == from && room != other) {
                let [from, to] = [&arrow.from, &arrow.to].map(|place| place.join("/"));
                wrong.push(format!("{}: {from} may not name {to}, and takes `{}`", self.of, arrow.words));
            }
        }
        wrong
    }

    /// Rooms that are not there, so that nothing is held.
    fn missing(&self, sources: &[Source]) -> Vec<String> {
        let places: Vec<String> = sources.iter().map(|source| place(&source.path).join("/")).collect();
        let is_there = |room: &str| match room.strip_suffix("/*") {
            Some(folder) => places.iter().any(|place| place.starts_with(&format!("{folder}/"))),
            None => room == "main" || places.iter().any(|place| place == room),
        };
        let rooms = self.steps.iter().flatten().filter(|room| !is_there(room));
        rooms.map(|room| format!("{} has no module {room}", self.of)).collect()
    }
}

#[test]
fn modules_of_a_crate_make_no_circle() {
    let mut wrong = Vec::new();
    for name in crates() {
        let sources = Source::of_crate(&name);
        let circles = targets(&sources).into_iter().flat_map(|target| circles(&arrows(&target)));
        wrong.extend(circles.map(|circle| format!("conformance/{name}: {circle}")));
    }
    assert!(wrong.is_empty(), "circles of modules:\n{}", wrong.join("\n"));
}

#[test]
fn rooms_name_only_those_before_them() {
    let mut wrong = Vec::new();
    let orders = Order::all(&text("CONTRIBUTING.md"));
    assert!(orders.len() >= 3, "CONTRIBUTING.md gives orders");
    for order in orders {
        let sources = Source::of_crate(&order.of);
        wrong.extend(order.missing(&sources));
        wrong.extend(targets(&sources).iter().flat_map(|target| order.broken(&arrows(target))));
    }
    assert!(wrong.is_empty(), "against the order in CONTRIBUTING.md:\n{}", wrong.join("\n"));
}

/// What is wrong with the files of a made-up crate.
fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
    let sources: Vec<Source> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
    targets(&sources).into_iter().flat_map(|target| circles(&arrows(&target))).collect()
}

#[test]
fn a_circle_is_noticed_also_through_the_root_and_between_folders() {
    let straight = [
        ("lib.rs", "mod a; mod b; pub use b::B;"),
        ("a.rs", "use crate::B;"),
        ("b.rs", "#[cfg(test)] mod tests { use crate::a::A; }"),
    ];
    assert_eq!(circles_of(&straight), [""; 0]);
    let circle = [straight[0], straight[1], ("b.rs", "fn b() { crate::a::f(); }")];
    assert_eq!(circles_of(&circle), ["a -> b: a takes `crate::B`", "b -> a: b takes `crate::a::f`"]);
    let through_folders = [
        ("lib.rs", "mod a; mod b;"),
        ("a/mod.rs", "mod x; fn f() { x::f(); }"),
        ("a/x.rs", "use super::f; use crate::b::B;"),
        ("b/mod.rs", "mod y;"),
        ("b/y.rs", "use crate::a::f;"),
    ];
    assert_eq!(circles_of(&through_folders), ["a -> b: a/x takes `crate::b::B`", "b -> a: b/y takes `crate::a::f`"]);
    let of_three = [
        ("lib.rs", ""),
        ("a.rs", "use crate::b::X;"),
        ("b.rs", "use super::c::X;"),
        ("c.rs", "use crate::{a::X, d::X};"),
        ("d.rs", ""),
    ];
    assert_eq!(circles_of(&of_three).len(), 3);
}

#[test]
fn a_room_that_names_a_later_one_is_noticed() {
    let order = Order::read("made-up: desk < commands/* < commands < main").unwrap();
    let broken = |files: &[(&str, &str)]| {
        let sources: Vec<Source> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        order.broken(&arrows(&targets(&sources)[0]))
    };
    let main = ("main.rs", "mod commands; mod desk; fn main() { commands::run(); desk::say(); }");
    let door = ("commands/mod.rs", "mod run; mod compare; fn run() { run::run(); }");
    let desk = ("desk.rs", "");
    assert_eq!(
        broken(&[main, door, desk, ("commands/run.rs", "use crate::desk::Desk;"), ("commands/compare.rs", "")]),
        [""; 0]
    );
    assert_eq!(broken(&[main, door, desk, ("commands/run.rs", "use super::compare;"), ("commands/compare.rs", "")]).len(), 1);
    assert_eq!(broken(&[main, door, ("desk.rs", "use crate::commands::run::Arguments;"), ("commands/run.rs", "")]).len(), 1);
    assert_eq!(broken(&[main, ("commands/mod.rs", "mod run;"), desk, ("commands/run.rs", "use super::Command;")]).len(), 1);
    let sources = [Source::new("main.rs", "")];
    assert_eq!(order.missing(&sources).len(), 3);
}
