//! Layers of a model that are alike, told once: which rows of a tensor table say it all.

use printable::Text;
use record::inspection::TensorRow;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Sentences below the tensor table, and items in one of them.
const MOST_ITEMS: usize = 12;

/// What makes two tensors of two layers alike: the name within the layer, shape and type.
type Like<'t> = (&'t str, &'t [u64], &'static str);

/// Layers with the same tensors.
struct LayerKind<'t> {
    first: u64,
    others: Vec<u64>,
    tensors: Vec<Like<'t>>,
}

impl<'t> LayerKind<'t> {
    /// What this kind has and `base` has not.
    fn differs_from<'k>(&'k self, base: &'k Self) -> impl Iterator<Item = Like<'t>> + 'k {
        self.tensors.iter().copied().filter(|like| base.tensors.binary_search(like).is_err())
    }

    /// Names that `base` has and this kind has not.
    fn lacks(&self, base: &Self) -> Vec<String> {
        let own: HashSet<&str> = self.tensors.iter().map(|like| like.0).collect();
        let lacking = base.tensors.iter().map(|like| like.0).filter(|name| !own.contains(name));
        lacking.map(|name| Text::new(name).cut()).collect()
    }
}

/// Splits `blk.7.attn_q.weight` into the layers it belongs to (`blk`), its layer (7), and its name there.
fn in_layer(tensor: &TensorRow) -> Option<(&str, u64, Like<'_>)> {
    let name = tensor.name.as_str()?;
    let at = name.find("blk.").filter(|&at| at == 0 || name[..at].ends_with('.'))?;
    let (layers, rest) = (&name[..at + 3], &name[at + 4..]);
    let (number, part) = rest.split_once('.')?;
    // Another spelling of the same number is another name.
    let layer: u64 = number.parse().ok().filter(|layer: &u64| layer.to_string() == number)?;
    Some((layers, layer, (part, &tensor.dimensions, tensor.weight_type)))
}

/// The rows that say it all: of layers that are alike the first, of those that differ what differs; and sentences on the rest.
pub(crate) fn folded(tensors: &[TensorRow]) -> (Vec<&TensorRow>, Vec<String>) {
    let mut layers: BTreeMap<(&str, u64), Vec<Like<'_>>> = BTreeMap::new();
    for (name, layer, like) in tensors.iter().filter_map(in_layer) {
        layers.entry((name, layer)).or_default().push(like);
    }
    let mut kinds: BTreeMap<&str, Vec<LayerKind<'_>>> = BTreeMap::new();
    let mut known: HashMap<(&str, Vec<Like<'_>>), usize> = HashMap::new();
    for ((name, layer), mut tensors) in layers {
        tensors.sort_unstable();
        let kinds = kinds.entry(name).or_default();
        match known.get(&(name, tensors.clone())) {
            Some(&kind) => kinds[kind].others.push(layer),
            None => {
                known.insert((name, tensors.clone()), kinds.len());
                kinds.push(LayerKind { first: layer, others: Vec::new(), tensors });
            }
        }
    }
    let mut shown: HashSet<(&str, u64, Like<'_>)> = HashSet::new();
    for (&name, kinds) in &kinds {
        for (index, kind) in kinds.iter().enumerate() {
            let own: Vec<_> = if index == 0 { kind.tensors.clone() } else { kind.differs_from(&kinds[0]).collect() };
            shown.extend(own.into_iter().map(|like| (name, kind.first, like)));
        }
    }
    let rows = tensors.iter().filter(|tensor| in_layer(tensor).is_none_or(|place| shown.contains(&place))).collect();
    let mut notes: Vec<String> = kinds.iter().flat_map(|(name, kinds)| notes_on(name, kinds)).collect();
    if notes.len() > MOST_ITEMS {
        notes.truncate(MOST_ITEMS);
        notes.push("more layers differ".into());
    }
    (rows, notes)
}

/// What the rows of the table do not say about layers.
fn notes_on(name: &str, kinds: &[LayerKind<'_>]) -> Vec<String> {
    let mut notes = Vec::new();
    let name = Text::new(name).cut();
    for (index, kind) in kinds.iter().enumerate() {
        if index > 0 {
            let base = &kinds[0];
            let rows = if kind.differs_from(base).next().is_some() { " but for its rows above" } else { "" };
            let lacks = kind.lacks(base);
            let without = if lacks.is_empty() { String::new() } else { format!(", without {}", list(&lacks)) };
            notes.push(format!("{name}.{} is like {name}.{}{rows}{without}", kind.first, base.first));
        }
        let others = runs(&name, &kind.others);
        match kind.others.len() {
            0 => {}
            1 => notes.push(format!("{others} is like {name}.{}", kind.first)),
            _ => notes.push(format!("{others} are like {name}.{}", kind.first)),
        }
    }
    notes
}

/// Layers in words: `blk.1 .. blk.4, blk.7`.
fn runs(name: &str, layers: &[u64]) -> String {
    let runs: Vec<_> = layers
        .chunk_by(|a, b| a + 1 == *b)
        .map(|run| match run {
            [first, .., last] if run.len() > 2 => format!("{name}.{first} .. {name}.{last}"),
            _ => run.iter().map(|layer| format!("{name}.{layer}")).collect::<Vec<_>>().join(", "),
        })
        .collect();
    list(&runs)
}

fn list(items: &[String]) -> String {
    let more = items.len().saturating_sub(MOST_ITEMS);
    let shown = items[..items.len() - more].join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}
