//! Whole models: what each architecture asks of keys and tensors.

use crate::{
    Builder, Group,
    bases::{self, HIDDEN, TOKENS, WIDTH, numbered},
};
use gguf::{Draft, File, Rule, Value, WeightType};

/// Width of one head, of which the tiny models have two; keys and values have one.
const HEAD: u64 = WIDTH / 2;
/// Width of one expert, of which there are two.
const EXPERT: u64 = 4;

/// The tiny model of an architecture: the tensors of Llama, and then those that it has beside them or instead.
fn model(architecture: &str, without: &[&str], with: &[(&str, &[u64])]) -> Draft<'static> {
    let mut draft = Draft::new();
    bases::numbers(&mut draft, architecture);
    let norm = if architecture == "phi2" { "layer_norm_epsilon" } else { "layer_norm_rms_epsilon" };
    draft.f32(&format!("{architecture}.attention.{norm}"), 1e-5);
    draft.u32(&format!("{architecture}.rope.dimension_count"), HEAD as u32);
    bases::tokenizer(&mut draft);
    for (name, dimensions) in bases::LLAMA_TENSORS.iter().filter(|(name, _)| !without.iter().any(|part| name.contains(part))) {
        numbered(&mut draft, name, dimensions);
    }
    for (name, dimensions) in with {
        numbered(&mut draft, name, dimensions);
    }
    draft
}

const HEAD_NORMS: [(&str, &[u64]); 2] = [("blk.0.attn_q_norm.weight", &[HEAD]), ("blk.0.attn_k_norm.weight", &[HEAD])];
const POST_NORMS: [(&str, &[u64]); 2] =
    [("blk.0.post_attention_norm.weight", &[WIDTH]), ("blk.0.post_ffw_norm.weight", &[WIDTH])];
const BIASES: [(&str, &[u64]); 3] =
    [("blk.0.attn_q.bias", &[WIDTH]), ("blk.0.attn_k.bias", &[HEAD]), ("blk.0.attn_v.bias", &[HEAD])];
const EXPERTS: [(&str, &[u64]); 4] = [
    ("blk.0.ffn_gate_inp.weight", &[WIDTH, 2]),
    ("blk.0.ffn_gate_exps.weight", &[WIDTH, EXPERT, 2]),
    ("blk.0.ffn_up_exps.weight", &[WIDTH, EXPERT, 2]),
    ("blk.0.ffn_down_exps.weight", &[EXPERT, WIDTH, 2]),
];
const GATES: [&str; 3] = ["ffn_gate", "ffn_up", "ffn_down"];
const ONE_GATE: (&str, &[u64]) = ("blk.0.ffn_up.weight", &[WIDTH, 2 * HIDDEN]);
const FUSED: (&str, &[u64]) = ("blk.0.attn_qkv.weight", &[WIDTH, WIDTH + 2 * HEAD]);

fn architectures() -> Vec<(&'static str, Draft<'static>)> {
    let separate = ["attn_q", "attn_k", "attn_v"];
    let mut mixture = model("llama", &GATES, &EXPERTS);
    mixture.u32("llama.expert_count", 2).u32("llama.expert_used_count", 1);
    // Llama has one key for the width of both kinds of feed-forward block.
    mixture.remove_key("llama.feed_forward_length").u32("llama.feed_forward_length", EXPERT as u32);
    let mut qwen3moe = model("qwen3moe", &GATES, &[&HEAD_NORMS[..], &EXPERTS].concat());
    qwen3moe.u32("qwen3moe.expert_count", 2).u32("qwen3moe.expert_used_count", 1);
    qwen3moe.u32("qwen3moe.expert_feed_forward_length", EXPERT as u32);
    let mut lfm2 = model(
        "lfm2",
        &["output_norm", "attn_q", "attn_k", "attn_v", "attn_output"],
        &[
            ("token_embd_norm.weight", &[WIDTH]),
            ("blk.0.shortconv.conv.weight", &[3, WIDTH]),
            ("blk.0.shortconv.in_proj.weight", &[WIDTH, 3 * WIDTH]),
            ("blk.0.shortconv.out_proj.weight", &[WIDTH, WIDTH]),
        ],
    );
    lfm2.remove_key("lfm2.attention.head_count_kv").i32s("lfm2.attention.head_count_kv", &[0]);
    lfm2.u32("lfm2.shortconv.l_cache", 3);
    let mut phi2 = model(
        "phi2",
        &["attn_q", "attn_k", "attn_v", "ffn_norm", "ffn_gate"],
        &[
            ("blk.0.attn_qkv.weight", &[WIDTH, 3 * WIDTH]),
            ("blk.0.attn_qkv.bias", &[3 * WIDTH]),
            ("blk.0.attn_norm.bias", &[WIDTH]),
            ("blk.0.attn_output.bias", &[WIDTH]),
            ("blk.0.ffn_up.bias", &[HIDDEN]),
            ("blk.0.ffn_down.bias", &[WIDTH]),
            ("output_norm.bias", &[WIDTH]),
            ("output.weight", &[WIDTH, TOKENS]),
            ("output.bias", &[TOKENS]),
        ],
    );
    phi2.remove_key("phi2.attention.head_count_kv").u32("phi2.attention.head_count_kv", 2);
    vec![
        ("llama", bases::llama()),
        ("llama-untied", model("llama", &[], &[("output.weight", &[WIDTH, TOKENS])])),
        ("llama-rope-factors", model("llama", &[], &[("rope_freqs.weight", &[HEAD / 2])])),
        ("llama-mixture-of-experts", mixture),
        ("qwen2", model("qwen2", &[], &BIASES)),
        ("qwen3", model("qwen3", &[], &HEAD_NORMS)),
        ("qwen3moe", qwen3moe),
        ("gemma3", model("gemma3", &[], &[HEAD_NORMS, POST_NORMS].concat())),
        ("phi2", phi2),
        (
            "phi3",
            model(
                "phi3",
                &[&separate[..], &["ffn_gate", "ffn_up"]].concat(),
                &[FUSED, ONE_GATE, ("output.weight", &[WIDTH, TOKENS])],
            ),
        ),
        ("glm4", model("glm4", &["ffn_gate", "ffn_up"], &[&POST_NORMS[..], &BIASES, &[ONE_GATE]].concat())),
        ("lfm2", lfm2),
        ("smollm3", model("smollm3", &[], &[])),
    ]
}

/// A Llama of width 32 whose matrices are quantised: the least that blocks of 32 allow.
fn quantized() -> Draft<'static> {
    let mut draft = Draft::new();
    bases::numbers(&mut draft, "llama");
    for key in ["embedding_length", "feed_forward_length"] {
        let key = format!("llama.{key}");
        draft.remove_key(&key).u32(&key, 32);
    }
    draft.f32("llama.attention.layer_norm_rms_epsilon", 1e-5).u32("llama.rope.dimension_count", 16);
    bases::tokenizer(&mut draft);
    draft.u32("general.quantization_version", 2);
    for (name, dimensions) in bases::LLAMA_TENSORS {
        let scale = |size: u64| {
            if size == TOKENS && name == "token_embd.weight" {
                size
            } else if size == HEAD {
                16
            } else {
                32
            }
        };
        let dimensions: Vec<u64> = dimensions.iter().map(|&size| scale(size)).collect();
        match *dimensions.as_slice() {
            [len] => numbered(&mut draft, name, &[len]),
            [row, rows] => {
                let block = [&[0x00, 0x20][..], &[0x79; 16]].concat();
                draft.tensor(name, &[row, rows], WeightType::Q4_0, block.repeat(rows as usize));
            }
            _ => {}
        }
    }
    draft
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(crate) fn group() -> Group {
    let mut group = Builder::new("models", "Whole models of one layer: what an architecture asks of keys and tensors.");
    group.note("Architecture", "The least model of an architecture, complete and fit to run.");
    group.note("Missing", "A key or tensor that the architecture needs is not there.");
    group.note("Type", "A key with another type than the specification has.");
    group.note("Value", "A number that no model can have.");
    group.note("Shape", "A tensor whose shape does not follow from the numbers.");

    for (name, draft) in architectures() {
        group.draft(name, &[], &["Architecture"], "A model of one layer.", &draft);
        let architecture = name.split('-').next().unwrap_or(name);
        let mut missing = draft.clone();
        missing.remove_key(&format!("{architecture}.block_count"));
        group.draft(
            &format!("{name}-without-block-count"),
            &[Rule::KeyMissing],
            &["Missing"],
            "The number of layers is missing.",
            &missing,
        );
        let mut without = draft;
        without
            .tensors
            .retain(|tensor| *tensor.name != *b"blk.0.ffn_down.weight" && *tensor.name != *b"blk.0.ffn_down_exps.weight");
        group.draft(
            &format!("{name}-without-ffn-down"),
            &[Rule::TensorMissing],
            &["Missing"],
            "A matrix of the feed-forward block is missing.",
            &without,
        );
    }
    for alignment in [8, 16] {
        let mut draft = bases::llama();
        draft.u32("general.alignment", alignment);
        draft.alignment = u64::from(alignment);
        let on_32 = |draft: &Draft<'_>| File::strict(&draft.finish()).is_ok_and(|file| file.data_offset().is_multiple_of(32));
        while on_32(&draft) {
            draft.bool(&format!("general.x{}", draft.keys.len()), true);
        }
        let comment = "A smaller alignment than the default, and a data section that does not begin on a multiple of 32.";
        group.draft(&format!("llama-alignment-{alignment}"), &[], &["Architecture"], comment, &draft);
    }
    group.draft("llama-quantised", &[], &["Architecture"], "A model of one layer, in Q4_0.", &quantized());
    let mut version = quantized();
    version.remove_key("general.quantization_version");
    let comment = "A quantised model that does not say by which version of the quantisation.";
    group.draft("llama-quantised-without-version", &[Rule::QuantizationVersion], &["Missing"], comment, &version);

    let base = bases::llama;
    for key in [
        "general.architecture",
        "llama.context_length",
        "llama.embedding_length",
        "llama.feed_forward_length",
        "llama.attention.head_count",
        "llama.attention.layer_norm_rms_epsilon",
        "llama.rope.dimension_count",
    ] {
        let mut draft = base();
        draft.remove_key(key);
        let rule = if key == "general.architecture" { Rule::ArchitectureMissing } else { Rule::KeyMissing };
        group.draft(&format!("without-{}", slug(key)), &[rule], &["Missing"], "A key that Llama needs is missing.", &draft);
    }
    for key in ["llama.attention.head_count_kv", "tokenizer.ggml.bos_token_id"] {
        let mut draft = base();
        draft.remove_key(key);
        // Without a number of its own, keys and values have as many heads as queries.
        let rules: &[Rule] = if key.ends_with("kv") { &[Rule::TensorShape] } else { &[] };
        group.draft(&format!("without-{}", slug(key)), rules, &["Missing"], "A key that a model may leave out.", &draft);
    }
    for key in ["context_length", "embedding_length", "block_count", "attention.head_count", "attention.head_count_kv"] {
        let key = format!("llama.{key}");
        for (name, convert) in [
            ("u64", (|n| Value::U64(n)) as fn(u64) -> Value<'static>),
            ("i32", |n| Value::I32(n as i32)),
            ("u16", |n| Value::U16(n as u16)),
            ("f32", |n| Value::F32(n as f32)),
            ("string", |_| Value::String(b"1")),
        ] {
            let mut draft = base();
            let number = draft.find_key(&key).and_then(|key| key.value.first().copied()).unwrap_or(1);
            draft.remove_key(&key).value(key.as_str(), convert(u64::from(number)));
            let rules: &[Rule] = if name == "u64" { &[] } else { &[Rule::KeyType] };
            let comment = "The same number in another type. The specification has uint64 here, files have uint32, and readers should take both.";
            // A count that is no count leaves nothing to check the rest by.
            group.draft(&format!("{}-of-{name}", slug(&key)), rules, &["Type"], comment, &draft);
        }
    }
    for (name, key, value) in [
        ("epsilon-of-f64", "llama.attention.layer_norm_rms_epsilon", Value::F64(1e-5)),
        ("epsilon-of-u32", "llama.attention.layer_norm_rms_epsilon", Value::U32(0)),
        ("rope-base-of-u32", "llama.rope.freq_base", Value::U32(10000)),
        ("architecture-of-u32", "general.architecture", Value::U32(0)),
        ("name-of-u32", "general.name", Value::U32(0)),
        ("file-type-of-string", "general.file_type", Value::String(b"1")),
    ] {
        let mut draft = base();
        draft.remove_key(key).value(key, value);
        group.draft(name, &[Rule::KeyType], &["Type"], "A key of the wrong type.", &draft);
    }
    for (name, key, value, boundary) in [
        ("layers-0", "llama.block_count", Value::U32(0), true),
        ("width-0", "llama.embedding_length", Value::U32(0), true),
        ("context-0", "llama.context_length", Value::U32(0), true),
        ("heads-0", "llama.attention.head_count", Value::U32(0), true),
        ("heads-3-of-width-8", "llama.attention.head_count", Value::U32(3), true),
        ("heads-2-31", "llama.attention.head_count", Value::U32(1 << 31), false),
        ("key-value-heads-3-of-2", "llama.attention.head_count_kv", Value::U32(3), true),
        ("epsilon-0", "llama.attention.layer_norm_rms_epsilon", Value::F32(0.0), true),
        ("epsilon-negative", "llama.attention.layer_norm_rms_epsilon", Value::F32(-1e-5), false),
        ("epsilon-nan", "llama.attention.layer_norm_rms_epsilon", Value::F32(f32::NAN), false),
        ("epsilon-infinite", "llama.attention.layer_norm_rms_epsilon", Value::F32(f32::INFINITY), false),
        ("experts-used-1-of-0", "llama.expert_used_count", Value::U32(1), true),
    ] {
        let mut draft = base();
        draft.remove_key(key).value(key, value);
        let flags: &[&str] = if boundary { &["Value", "Boundary"] } else { &["Value"] };
        group.draft(name, &[Rule::KeyValue], flags, "A number that no model can have.", &draft);
    }
    for (name, value) in [("2", 2), ("513", 513), ("2-31", 1 << 31), ("2-32-less-1", u32::MAX)] {
        let mut draft = base();
        draft.remove_key("llama.block_count").u32("llama.block_count", value);
        let flags: &[&str] = if value == 2 { &["Missing", "Boundary"] } else { &["Missing"] };
        group.draft(
            &format!("layers-{name}-of-1"),
            &[Rule::TensorMissing],
            flags,
            "More layers than there are tensors for.",
            &draft,
        );
    }
    for (name, key, value) in [
        ("width-16", "llama.embedding_length", 16),
        ("hidden-32", "llama.feed_forward_length", 32),
        ("heads-4", "llama.attention.head_count", 4),
        ("key-value-heads-2", "llama.attention.head_count_kv", 2),
        ("key-length-8", "llama.attention.key_length", 8),
        ("value-length-8", "llama.attention.value_length", 8),
    ] {
        let mut draft = base();
        draft.remove_key(key).u32(key, value);
        group.draft(
            &format!("shape-{name}"),
            &[Rule::TensorShape],
            &["Shape"],
            "A number that the tensors do not follow.",
            &draft,
        );
    }
    for (name, dimensions) in bases::LLAMA_TENSORS {
        let part = name.trim_end_matches(".weight").replace(['.', '_'], "-");
        // Every architecture was already tried without this one.
        if part != "blk-0-ffn-down" {
            let mut missing = base();
            missing.tensors.retain(|tensor| *tensor.name != *name.as_bytes());
            let comment = "A tensor that Llama needs is missing.";
            group.draft(&format!("without-{part}"), &[Rule::TensorMissing], &["Missing"], comment, &missing);
        }
        let mut reshaped = base();
        if let Some(tensor) = reshaped.tensors.iter_mut().find(|tensor| *tensor.name == *name.as_bytes()) {
            tensor.dimensions = match dimensions {
                [len] => vec![1, *len],
                [a, b] if a == b => vec![a * b],
                _ => dimensions.iter().rev().copied().collect(),
            };
        }
        group.draft(
            &format!("shape-of-{part}"),
            &[Rule::TensorShape],
            &["Shape"],
            "A tensor with all its elements, in another shape.",
            &reshaped,
        );
    }
    let mut ones = base();
    if let Some(tensor) = ones.tensors.iter_mut().find(|tensor| *tensor.name == *b"output_norm.weight") {
        tensor.dimensions.extend([1, 1, 1]);
    }
    group.draft("shape-with-ones-at-the-end", &[], &["Shape"], "Dimensions of 1 after the others, which say nothing.", &ones);
    for architecture in ["no-such", "Llama", "command-r", ""] {
        let mut draft = bases::bare();
        draft.remove_key("general.architecture").str("general.architecture", architecture);
        let name = if architecture.is_empty() { "empty" } else { architecture };
        group.draft(
            &format!("architecture-named-{}", slug(name)),
            &[Rule::ArchitectureCharset],
            &["Architecture"],
            "A name that is not lower-case letters and digits.",
            &draft,
        );
    }
    group.finish()
}

fn slug(key: &str) -> String {
    key.to_lowercase().replace(['.', '_'], "-").replace("general-", "").replace("llama-", "").replace("tokenizer-ggml-", "")
}
