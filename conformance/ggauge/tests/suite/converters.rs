//! Files as converters write them: keys that change nothing, and arrays of one value a layer. The reference takes them, and
//! neither its numbers nor llama.cpp's move by a bit; what does change something, both change alike.

use crate::support::{ggauge, policy, run_models, stderr, stdout, written};
use gguf::{Draft, File, Value, ValueType, WeightType};
use reference::{Rounding, Weights, architectures};
use rstest::rstest;
use smith::Recipe;
use std::{collections::BTreeMap, fs};
use vocabulary::{Judgement, Oracle, Settings};

/// What is changed in the file of a tiny model.
struct Editor {
    draft: Draft<'static>,
    architecture: String,
}

impl Editor {
    fn key(&self, suffix: &str) -> String {
        format!("{}.{suffix}", self.architecture)
    }

    /// Sets a key of the architecture, whatever it was.
    fn set(&mut self, suffix: &str, value: Value<'_>) {
        let key = self.key(suffix);
        self.draft.remove_key(&key).value(key.as_str(), value);
    }

    /// Sets a key of the architecture to an array.
    fn set_array(&mut self, suffix: &str, element: ValueType, len: usize, elements: &[u8]) {
        let key = self.key(suffix);
        self.draft.remove_key(&key).array(&key, element.id(), len as u64, elements);
    }

    fn set_u32s(&mut self, suffix: &str, values: &[u32]) {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.set_array(suffix, ValueType::U32, values.len(), &bytes);
    }

    fn set_flags(&mut self, suffix: &str, flags: &[bool]) {
        self.set_array(suffix, ValueType::Bool, flags.len(), &flags.iter().map(|&flag| flag.into()).collect::<Vec<u8>>());
    }

    /// Sets keys that the file does not have.
    fn add(&mut self, keys: &[(&str, Value<'_>)]) {
        for (suffix, value) in keys {
            if !self.has(suffix) {
                self.set(suffix, *value);
            }
        }
    }

    fn has(&mut self, suffix: &str) -> bool {
        let key = self.key(suffix);
        self.draft.find_key(&key).is_some()
    }

    /// A count that the file has.
    fn count(&mut self, suffix: &str) -> u32 {
        let key = self.key(suffix);
        u32::from_le_bytes(self.draft.find_key(&key).unwrap().value.to_vec().try_into().unwrap())
    }

    fn remove(&mut self, suffix: &str) {
        let key = self.key(suffix);
        self.draft.remove_key(&key);
    }

    fn vector(&mut self, name: &str, values: impl IntoIterator<Item = f32>) {
        let bytes: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
        self.draft.tensor(name, &[bytes.len() as u64 / 4], WeightType::F32, bytes);
    }
}

/// A habit of a converter: the recipes of the models that it shows on, and what it makes of their files.
struct Habit {
    name: &'static str,
    recipes: &'static [&'static str],
    change: fn(&mut Editor),
}

const ALL: &[&str] = &[
    "gemma2",
    "gemma3",
    "glm4",
    "granite",
    "lfm2",
    "llama",
    "llama+experts=4",
    "olmo2",
    "phi2",
    "phi3",
    "qwen2",
    "qwen3",
    "qwen3moe",
    "smollm3",
];
const DENSE: &[&str] =
    &["gemma2", "gemma3", "glm4", "granite", "lfm2", "llama", "olmo2", "phi2", "phi3", "qwen2", "qwen3", "smollm3"];

/// Habits that change no number. Each names who has it.
const HABITS: &[Habit] = &[
    // llama.cpp's `llama_model_save_to_file`, which also writes the random models of its `tests/test-llama-archs.cpp`: every
    // field.
    // source: llama-cpp-sys-2 `llama.cpp/src/llama-model-saver.cpp:225` `add_kv(LLM_KV_LEADING_DENSE_BLOCK_COUNT,`
    Habit { name: "saver", recipes: ALL, change: llama_cpps_writer },
    // The same, and `head_count_kv_vec` of llama.cpp's `conversion/granite.py`: one value a layer where all are the same.
    // source: llama-cpp-sys-2 `llama.cpp/src/llama-model.cpp:1406` `ml.get_key_or_arr(LLM_KV_ATTENTION_HEAD_COUNT_KV,`
    Habit {
        name: "arrays",
        recipes: &[
            "gemma2", "gemma3", "glm4", "granite", "llama", "olmo2", "phi2", "phi3", "qwen2", "qwen3", "qwen3moe", "smollm3",
        ],
        change: |file| {
            let layers = file.count("block_count") as usize;
            for suffix in ["feed_forward_length", "attention.head_count", "attention.head_count_kv"] {
                let count = file.count(suffix);
                file.set_u32s(suffix, &vec![count; layers]);
            }
        },
    },
    // `conversion/granite.py`: a model of the hybrid's class without a state-space layer keeps the keys of one.
    Habit {
        name: "hybrid",
        recipes: &["granite"],
        change: |file| {
            file.set("rope.scaling.finetuned", Value::Bool(true));
            for suffix in ["conv_kernel", "state_size", "group_count", "inner_size", "time_step_rank"] {
                file.set(&format!("ssm.{suffix}"), Value::U32(4));
            }
        },
    },
    // `set_gguf_parameters` of `conversion/base.py`: whatever epsilon, experts and causality the configuration names.
    Habit {
        name: "base",
        recipes: DENSE,
        change: |file| {
            file.add(&[
                ("attention.layer_norm_epsilon", Value::F32(1e-5)),
                ("attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
                ("attention.causal", Value::Bool(true)),
                ("expert_count", Value::U32(0)),
                ("expert_used_count", Value::U32(0)),
            ]);
        },
    },
    // `_try_set_pooling_type` there, of models for embeddings: the mean, or the last token.
    Habit { name: "pooling-mean", recipes: &["qwen2", "gemma3"], change: |file| file.set("pooling_type", Value::U32(1)) },
    Habit {
        name: "pooling-last",
        recipes: &["qwen3", "lfm2"],
        change: |file| {
            file.set("pooling_type", Value::U32(3));
            file.set("embedding_length_out", Value::U32(32));
        },
    },
    // The same, of YaRN, as a configuration has it whose factor on what rotates is the one that follows (OLMo 3).
    Habit {
        name: "yarn",
        recipes: &["qwen2+rope-scaling=yarn", "olmo2+rope-scaling=yarn", "llama+rope-scaling=yarn"],
        change: |file| {
            file.set("rope.scaling.yarn_ext_factor", Value::F32(1.0));
            file.set("rope.scaling.yarn_attn_factor", Value::F32(1.0 + 0.1 * 4_f32.ln()));
            file.set("rope.scaling.yarn_beta_fast", Value::F32(32.0));
            file.set("rope.scaling.yarn_beta_slow", Value::F32(1.0));
        },
    },
    // `convert.py` of 2023: what the file was made from, and the factor by its name of then.
    // source: llama-cpp-sys-2 `llama.cpp/src/llama-model.cpp:1429` `ml.get_key(LLM_KV_ROPE_SCALE_LINEAR, ropescale, false);`
    Habit {
        name: "old",
        recipes: &["llama+rope-scaling=linear"],
        change: |file| {
            file.set("tensor_data_layout", Value::String(b"Meta AI original pth"));
            file.remove("rope.scaling.type");
            file.remove("rope.scaling.factor");
            file.set("rope.scale_linear", Value::F32(4.0));
        },
    },
    // `conversion/olmo.py`: of each layer of an OLMo 3 whether it slides, as a truth value.
    // source: llama-cpp-sys-2 `llama.cpp/src/llama-model.cpp:3452` `ml.get_arr(LLM_KV_ATTENTION_SLIDING_WINDOW_PATTERN,`
    Habit {
        name: "slides",
        recipes: &["olmo2+layers=5+window=6", "gemma2+layers=5+window=6+pattern=4", "gemma3+layers=5+window=6+pattern=4"],
        change: |file| file.set_flags("attention.sliding_window_pattern", &[true, true, true, false, true]),
    },
    // Ollama's `convert/convert_gemma3.go`: names of its own.
    Habit {
        name: "ollama",
        recipes: &["gemma3"],
        change: |file| {
            file.set_flags("attention.sliding_window_pattern", &[true, true, true, true, true, false]);
            file.set("rope.local.freq_base", Value::F32(10_000.0));
            file.set("mm.tokens_per_image", Value::U32(256));
            file.set("vision.block_count", Value::U32(27));
        },
    },
    // llama.cpp loads a factor on every matrix, which converters write of NVFP4.
    // source: llama-cpp-sys-2 `llama.cpp/src/llama-model.cpp:1652` `create_tensor(tn(LLM_TENSOR_ATTN_OUT, "scale", i), {1},`
    Habit {
        name: "factors",
        recipes: ALL,
        change: |file| {
            for part in ["attn_output.scale", "attn_output.input_scale"] {
                file.vector(&format!("blk.1.{part}"), [1.0]);
            }
        },
    },
];

/// What changes numbers, in the reference as in llama.cpp.
const CHANGES: &[Habit] = &[
    // Windows by layer, in no order.
    Habit {
        name: "some-slide",
        recipes: &["gemma2+layers=5+window=3", "gemma3+layers=5+window=3", "olmo2+layers=5+window=3"],
        change: |file| file.set_u32s("attention.sliding_window_pattern", &[0, 1, 1, 0, 1]),
    },
    Habit {
        name: "all-slide",
        recipes: &["gemma2+window=3", "olmo2+window=3+pattern=2"],
        change: |file| file.set_flags("attention.sliding_window_pattern", &[true, true]),
    },
    // A base of their own of sliding layers.
    // source: llama-cpp-sys-2 `llama.cpp/src/models/gemma2.cpp:11` `ml.get_key(LLM_KV_ROPE_FREQ_BASE_SWA,`
    Habit { name: "sliding-base", recipes: &["gemma2"], change: |file| file.set("rope.freq_base_swa", Value::F32(100.0)) },
    // `attention_bias` and `mlp_bias` of a configuration of Llama.
    // source: llama-cpp-sys-2 `llama.cpp/src/models/llama.cpp:57` `layer.wo_b = create_tensor(tn(LLM_TENSOR_ATTN_OUT, "bias",`
    Habit {
        name: "biases",
        recipes: &["llama", "granite"],
        change: |file| {
            let (width, hidden) = (file.count("embedding_length"), file.count("feed_forward_length"));
            for (part, len) in [("attn_output", width), ("ffn_gate", hidden), ("ffn_up", hidden), ("ffn_down", width)] {
                file.vector(&format!("blk.0.{part}.bias"), (0..len).map(|n| (n % 7) as f32 * 0.1 - 0.3));
            }
        },
    },
    // source: llama-cpp-sys-2 `llama.cpp/src/models/granite.cpp:91` `layer.rope_freqs = create_tensor(tn(LLM_TENSOR_ROPE_FREQS,`
    Habit {
        name: "frequencies",
        recipes: &["granite"],
        change: |file| {
            let pairs = file.count("rope.dimension_count") / 2;
            file.vector("rope_freqs.weight", (0..pairs).map(|pair| 1.0 + pair as f32));
        },
    },
];

/// Every key that llama.cpp's writer has for a model, with what its loader made of the file that it was.
#[expect(clippy::too_many_lines, reason = "a list of keys, as the writer has it")]
fn llama_cpps_writer(file: &mut Editor) {
    let name = file.architecture.clone();
    let (layers, context, head) = (file.count("block_count"), file.count("context_length"), file.count("attention.key_length"));
    let rotated = file.count("rope.dimension_count");
    let pattern = match name.as_str() {
        "gemma2" => 2,
        "gemma3" => 6,
        _ => 0,
    };
    if pattern > 0 {
        let slides: Vec<u32> = (0..layers).map(|layer| u32::from((layer + 1) % pattern != 0)).collect();
        file.set_u32s("attention.sliding_window_pattern", &slides);
        file.set("attention.scale", Value::F32(1.0 / (head as f32).sqrt()));
        file.set("rope.freq_base_swa", Value::F32(10_000.0));
    }
    if name == "gemma3" {
        file.add(&[("final_logit_softcapping", Value::F32(0.0))]);
    }
    if name == "lfm2" {
        file.set_u32s("attention.recurrent_layers", &[1, 0, 1]);
    }
    for suffix in ["swiglu_clamp_exp", "swiglu_clamp_shexp"] {
        file.set_array(suffix, ValueType::F32, layers as usize, &vec![0; layers as usize * 4]);
    }
    file.set_array("deepstack_mapping", ValueType::I32, 512, &[255; 4 * 512]);
    file.set_array("rope.dimension_sections", ValueType::I32, 4, &[0; 16]);
    let zeros = [
        "expert_feed_forward_length",
        "expert_latent_length",
        "expert_shared_feed_forward_length",
        "expert_chunk_feed_forward_length",
        "expert_count",
        "expert_used_count",
        "expert_shared_count",
        "expert_group_count",
        "expert_group_used_count",
        "expert_gating_func",
        "experts_per_group",
        "moe_every_n_layers",
        "nextn_predict_layers",
        "n_deepstack_layers",
        "decoder_block_count",
        "rescale_every_n_layers",
        "time_mix_extra_dim",
        "time_decay_extra_dim",
        "hrm.layers_per_stack",
        "hrm.h_cycles",
        "hrm.l_cycles",
        "interleave_moe_layer_step",
        "attention.group_norm_groups",
        "attention.q_lora_rank",
        "attention.kv_lora_rank",
        "attention.decay_lora_rank",
        "attention.iclr_lora_rank",
        "attention.value_residual_mix_lora_rank",
        "attention.gate_lora_rank",
        "attention.relative_buckets_count",
        "attention.sliding_window",
        "attention.temperature_length",
        "attention.key_length_mla",
        "attention.value_length_mla",
        "attention.key_length_mla_swa",
        "attention.value_length_mla_swa",
        "attention.kv_lora_rank_swa",
        "attention.indexer.head_count",
        "attention.indexer.key_length",
        "attention.indexer.top_k",
        "attention.indexer.types",
        "attention.recurrent_layers",
        "attention.output_group_count",
        "attention.output_lora_rank",
        "attention.compress_ratios",
        "hyper_connection.count",
        "hash_layer_count",
        "ssm.inner_size",
        "ssm.conv_kernel",
        "ssm.state_size",
        "ssm.time_step_rank",
        "ssm.group_count",
        "kda.head_dim",
        "wkv.head_size",
        "posnet.embedding_length",
        "convnext.block_count",
        "shortconv.l_cache",
        "attn_res.block_size",
        "dense_2_feat_in",
        "dense_3_feat_out",
    ];
    file.add(&zeros.map(|suffix| (suffix, Value::U32(0))));
    let none = [
        "expert_weights_scale",
        "logit_scale",
        "residual_scale",
        "embedding_scale",
        "attention.max_alibi_bias",
        "attention.clamp_kqv",
        "attention.layer_norm_epsilon",
        "attention.layer_norm_rms_epsilon",
        "attention.group_norm_epsilon",
        "attention.scale",
        "attention.output_scale",
        "attention.value_scale",
        "attention.temperature_scale",
        "attention.compress_rope_freq_base",
        "rope.scaling.factor",
        "rope.scaling.yarn_log_multiplier",
    ];
    file.add(&none.map(|suffix| (suffix, Value::F32(0.0))));
    let off = ["use_parallel_residual", "expert_weights_norm", "swin_norm", "hrm.prefix_lm", "ssm.dt_b_c_rms", "kda.safe_gate"];
    file.add(&off.map(|suffix| (suffix, Value::Bool(false))));
    file.add(&[
        ("vocab_size", Value::U32(320)),
        // What LFM 2's loader sets it to, and llama.cpp's generator of random models everything.
        ("leading_dense_block_count", Value::U32(if name == "lfm2" { layers } else { 0 })),
        ("expert_group_scale", Value::F32(0.05)),
        ("pooling_type", Value::U32(u32::MAX)),
        ("decoder_start_token_id", Value::I32(-1)),
        ("attn_logit_softcapping", Value::F32(50.0)),
        ("router_logit_softcapping", Value::F32(30.0)),
        ("final_logit_softcapping", Value::F32(30.0)),
        ("token_shift_count", Value::U32(2)),
        ("attention.causal", Value::Bool(true)),
        ("attention.rope_pattern", Value::U32(1)),
        ("attention.key_length_swa", Value::U32(head)),
        ("attention.value_length_swa", Value::U32(head)),
        ("attention.indexer.kpool_select_tail", Value::Bool(true)),
        ("rope.dimension_count_swa", Value::U32(rotated)),
        ("rope.freq_base_swa", Value::F32(10_000.0)),
        ("rope.scaling.type", Value::String(b"linear")),
        ("rope.scaling.attn_factor", Value::F32(1.0)),
        ("rope.scaling.original_context_length", Value::U32(context)),
        ("rope.scaling.finetuned", Value::Bool(name == "granite")),
        ("rope.scaling.yarn_ext_factor", Value::F32(-1.0)),
        ("rope.scaling.yarn_attn_factor", Value::F32(1.0)),
        ("rope.scaling.yarn_beta_fast", Value::F32(32.0)),
        ("rope.scaling.yarn_beta_slow", Value::F32(1.0)),
        ("kda.gate_lower_bound", Value::F32(f32::NEG_INFINITY)),
        ("activation.situ_beta", Value::F32(1.0)),
    ]);
}

fn built(recipe: &str) -> Vec<u8> {
    format!("{recipe}/f32").parse::<Recipe>().unwrap().build().unwrap()
}

fn changed(recipe: &str, habit: &Habit) -> Vec<u8> {
    let bytes: &'static [u8] = built(recipe).leak();
    let file = File::strict(bytes).unwrap();
    let mut draft = Draft { tail: None, ..Draft::from(&file) };
    draft.tensors.iter_mut().for_each(|tensor| tensor.place = None);
    let mut editor = Editor { draft, architecture: file.architecture().unwrap().into() };
    (habit.change)(&mut editor);
    editor.draft.finish()
}

/// The exact logits, and the keys that were passed over.
fn exact(bytes: &[u8], what: &str) -> (Vec<f64>, Vec<String>) {
    let weights = Weights::of(vec![File::lenient(bytes).unwrap()]).unwrap();
    let model = architectures::load(&weights).unwrap_or_else(|refusal| panic!("{what}: {refusal:?}"));
    (model.logits(&Recipe::ramp(8), &Rounding::EXACT).data, weights.ignored())
}

/// Each habit on each of its models, in the reference and in llama.cpp: `same` says whether numbers stay.
fn assert_taken(architecture: &str, habits: &[Habit], same: bool) {
    let folder = tempfile::tempdir().unwrap();
    let mut models = Vec::new();
    let mut bases = BTreeMap::new();
    for habit in habits {
        for recipe in habit.recipes.iter().filter(|recipe| recipe.split('+').next() == Some(architecture)) {
            let (base, file) = (built(recipe), changed(recipe, habit));
            let name = format!("{}-{}", habit.name, models.len());
            let what = format!("{recipe} as {}", habit.name);
            assert_eq!(exact(&base, &what).0 == exact(&file, &what).0, same, "{what}");
            let of_base = format!("plain-{}", models.len());
            models.push(written(folder.path(), &format!("{name}.gguf"), &file));
            models.push(written(folder.path(), &format!("{of_base}.gguf"), &base));
            bases.insert(name, (of_base, what));
        }
    }
    assert!(!models.is_empty(), "{architecture}");
    let record = run_models(folder.path(), models, &["llama-cpp@cpu"], &[], Settings::Strict, &policy(""));
    for comparison in record.comparisons.iter().filter(|comparison| comparison.oracle == Oracle::Reference) {
        assert_eq!(comparison.judgement, Judgement::Pass, "{}: {:?}", comparison.id, comparison.reason);
    }
    let logits = |model: &str| {
        let of_model = record.cases.iter().filter(|case| case.id.starts_with(&format!("{model}/")));
        of_model
            .map(|case| case.logits.clone().unwrap_or_else(|| panic!("{}: {:?}", case.id, case.outcome)))
            .collect::<Vec<_>>()
    };
    for (name, (base, what)) in &bases {
        assert_eq!((logits(name) == logits(base), logits(name).len()), (same, 2), "llama.cpp: {what}");
    }
}

#[rstest]
fn keys_that_change_nothing_are_taken_and_no_bit_moves(
    #[values(
        "gemma2", "gemma3", "glm4", "granite", "lfm2", "llama", "olmo2", "phi2", "phi3", "qwen2", "qwen3", "qwen3moe",
        "smollm3"
    )]
    architecture: &str,
) {
    assert_taken(architecture, HABITS, true);
}

#[rstest]
fn what_changes_numbers_changes_those_of_both(#[values("gemma2", "gemma3", "granite", "llama", "olmo2")] architecture: &str) {
    assert_taken(architecture, CHANGES, false);
}

#[test]
fn inspect_lists_what_the_reference_passes_over() {
    let folder = tempfile::tempdir().unwrap();
    let habit = HABITS.iter().find(|habit| habit.name == "hybrid").unwrap();
    let file = changed("granite", habit);
    let path = folder.path().join("hybrid.gguf");
    fs::write(&path, &file).unwrap();
    let (_, ignored) = exact(&file, "hybrid");
    assert_eq!((ignored.len(), ignored[0].as_str()), (5, "granite.ssm.conv_kernel"));
    let output = ggauge(folder.path(), &["inspect", path.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    let words = stdout(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(&format!("ignored by the reference: {}", ignored.join(", "))), "{words}");
    let output = ggauge(folder.path(), &["inspect", "--json", path.to_str().unwrap()]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["ignored_by_the_reference"], serde_json::json!(ignored));
}
