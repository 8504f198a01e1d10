//! The tokenizer's keys, in a model that would otherwise run.

use crate::{Builder, Group, bases};
use gguf::{Draft, Rule, Value};

fn with(change: impl FnOnce(&mut Draft<'static>)) -> Draft<'static> {
    let mut draft = bases::llama();
    change(&mut draft);
    draft
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(crate) fn group() -> Group {
    let mut group = Builder::new("tokenizer", "The tokenizer's keys, in a model that would otherwise run.");
    group.note("Lengths", "Arrays that should have one element for each token.");
    group.note("SpecialToken", "The id of a special token, which readers use as an index.");
    group.note("Types", "Arrays of the wrong type.");
    group.note("Text", "Texts that a runtime interprets.");

    for (name, len) in
        [("scores", 3usize), ("scores", 5), ("scores", 0), ("token_type", 3), ("token_type", 5), ("token_type", 0)]
    {
        let key = format!("tokenizer.ggml.{name}");
        let draft = with(|draft| {
            draft.remove_key(&key);
            match name {
                "scores" => draft.f32s(&key, &vec![0.0; len]),
                _ => draft.i32s(&key, &vec![1; len]),
            };
        });
        let flags: &[&str] = if len == 0 { &["Lengths"] } else { &["Lengths", "Boundary"] };
        let comment = "Four tokens, and another number of elements.";
        group.draft(&format!("{}-{len}-of-4", name.replace('_', "-")), &[Rule::TokenizerLengths], flags, comment, &draft);
    }
    let draft = with(|draft| {
        draft.remove_key("tokenizer.ggml.scores").remove_key("tokenizer.ggml.token_type");
    });
    group.draft("tokens-alone", &[], &["Lengths"], "Tokens without scores and types.", &draft);
    for value in [-1, 0, 7, i32::MAX] {
        let draft = with(|draft| {
            draft.remove_key("tokenizer.ggml.token_type").i32s("tokenizer.ggml.token_type", &[2, 3, 3, value]);
        });
        let flags: &[&str] = if [0, 7].contains(&value) { &["Boundary"] } else { &[] };
        group.draft(&format!("token-type-{value}"), &[Rule::TokenType], flags, "A type of token that does not exist.", &draft);
    }
    for value in [1, 6] {
        let draft = with(|draft| {
            draft.remove_key("tokenizer.ggml.token_type").i32s("tokenizer.ggml.token_type", &[2, 3, 3, value]);
        });
        group.draft(&format!("token-type-{value}"), &[], &["Boundary"], "A type of token that exists.", &draft);
    }
    for special in ["bos", "eos", "unknown", "separator", "padding"] {
        let key = format!("tokenizer.ggml.{special}_token_id");
        for id in [3u32, 4, u32::MAX] {
            let draft = with(|draft| {
                draft.remove_key(&key).u32(&key, id);
            });
            let (rules, comment): (&[Rule], _) = match id {
                3 => (&[], "The id of the last token."),
                _ => (&[Rule::SpecialToken], "An id that no token has."),
            };
            let flags: &[&str] = if id == u32::MAX { &["SpecialToken"] } else { &["SpecialToken", "Boundary"] };
            group.draft(&format!("{special}-{id}-of-4"), rules, flags, comment, &draft);
        }
    }
    for (name, key, value) in [
        ("id-of-i32", "tokenizer.ggml.bos_token_id", Value::I32(1)),
        ("id-of-string", "tokenizer.ggml.bos_token_id", Value::String(b"1")),
        ("tokens-no-array", "tokenizer.ggml.tokens", Value::String(b"a")),
        ("scores-no-array", "tokenizer.ggml.scores", Value::F32(0.0)),
        ("model-no-string", "tokenizer.ggml.model", Value::U32(0)),
        ("add-bos-no-bool", "tokenizer.ggml.add_bos_token", Value::U8(1)),
        ("template-no-string", "tokenizer.chat_template", Value::U8(1)),
    ] {
        let draft = with(|draft| {
            draft.remove_key(key).value(key, value);
        });
        group.draft(
            &format!("type-{name}"),
            &[Rule::KeyType],
            &["Types"],
            "A key of the tokenizer with the wrong type.",
            &draft,
        );
    }
    let draft = with(|draft| {
        draft.remove_key("tokenizer.ggml.token_type");
        draft.array("tokenizer.ggml.token_type", gguf::ValueType::U32.id(), 4, &1u32.to_le_bytes().repeat(4));
    });
    group.draft(
        "type-token-type-of-uint32",
        &[Rule::KeyType],
        &["Types"],
        "Types as uint32, where int32 is asked for.",
        &draft,
    );
    let draft = with(|draft| {
        draft.remove_key("tokenizer.ggml.scores");
        draft.array("tokenizer.ggml.scores", gguf::ValueType::F64.id(), 4, &[0; 32]);
    });
    group.draft(
        "type-scores-of-float64",
        &[Rule::KeyType],
        &["Types"],
        "Scores as float64, where float32 is asked for.",
        &draft,
    );
    let draft = with(|draft| {
        draft.remove_key("tokenizer.ggml.tokens");
        draft.array("tokenizer.ggml.tokens", gguf::ValueType::U32.id(), 4, &[0; 16]);
    });
    group.draft("type-tokens-of-uint32", &[Rule::KeyType], &["Types"], "Tokens as numbers.", &draft);
    for model in ["llama", "gpt2", "bert", "t5", "rwkv", "plamo2", "none", "no-such-model", ""] {
        let draft = with(|draft| {
            draft.remove_key("tokenizer.ggml.model").str("tokenizer.ggml.model", model);
        });
        let name = if model.is_empty() { "empty" } else { model };
        group.draft(
            &format!("model-{name}"),
            &[],
            &["Text"],
            "The kind of tokenizer, which the specification does not limit.",
            &draft,
        );
    }
    for (name, tokens) in [
        ("empty", ["", "<s>", "</s>", "a"]),
        ("twice", ["a", "<s>", "</s>", "a"]),
        ("nul", ["\0", "<s>", "</s>", "a"]),
        ("one-before-nul", ["<unk>", "<s>", "a\0b", "a"]),
    ] {
        let draft = with(|draft| {
            draft.remove_key("tokenizer.ggml.tokens").strings("tokenizer.ggml.tokens", &tokens);
        });
        group.draft(&format!("token-{name}"), &[], &["Text"], "Unusual tokens, and allowed.", &draft);
    }
    let draft = with(|draft| {
        draft.str("tokenizer.chat_template", &"x".repeat(3_000_003));
    });
    let comment = "A chat template longer than the pieces in which some readers fetch a file.";
    group.draft("template-of-3000003-bytes", &[], &["Text"], comment, &draft);
    group.finish()
}
