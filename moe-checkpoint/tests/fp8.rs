//! FP8 weights with the scales of their blocks in every type that scales have.

use burn::tensor::{Device, bf16, f16};
use moe_checkpoint::{CheckpointError, Precision, PublishedCheckpoint, from_native, to_native};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::fs;
use std::path::Path;

/// One expert, whose gate is 130 x 130: four blocks, three of them ragged.
const CONFIG: &str = r#"{"model_type": "mixtral", "vocab_size": 3, "hidden_size": 130,
"intermediate_size": 130, "num_hidden_layers": 1, "num_attention_heads": 1,
"num_key_value_heads": 1, "head_dim": 2, "num_local_experts": 1, "num_experts_per_tok": 1,
"rms_norm_eps": 1e-05, "rope_theta": 10000.0, "max_position_embeddings": 16,
"tie_word_embeddings": true, "torch_dtype": "bfloat16"}"#;
const WIDTH: usize = 130;
const GATE: &str = "model.layers.0.block_sparse_moe.experts.0.w1.weight";

/// The scales of the blocks, row by row: numbers that f32, bf16 and f16 have.
const SCALES: [f32; 4] = [1.007_812_5, 0.75, 3.0, 0.003_906_25]; // 1 + 2^-7, and 2^-8

/// Row, column, FP8 byte, and the byte's number times the scale of its block.
const ELEMENTS: [(usize, usize, u8, f32); 6] = [
    (0, 0, 0x3C, 193.5 / 128.0),   // 1.5 x 129 / 128
    (127, 127, 0x38, 1.007_812_5), // 1 x 1.0078125, the last of the first block
    (0, 129, 0xC5, -2.437_5),      // -(1 + 5 / 8) x 2 x 0.75
    (129, 0, 0x01, 0.005_859_375), // 2^-9, the smallest, x 3
    (128, 128, 0x7E, 1.75),        // 448, the largest, x 2^-8
    (129, 129, 0x40, 0.007_812_5), // 2 x 2^-8
];

type Stored = (String, Dtype, Vec<usize>, Vec<u8>);

/// The scales in a type.
fn scales(dtype: Dtype) -> Vec<u8> {
    let bytes = |scale: &f32| match dtype {
        Dtype::F32 => scale.to_le_bytes().to_vec(),
        Dtype::BF16 => bf16::from_f32(*scale).to_le_bytes().to_vec(),
        Dtype::F16 => f16::from_f32(*scale).to_le_bytes().to_vec(),
        other => panic!("{other:?} is no type of scales"),
    };
    SCALES.iter().flat_map(bytes).collect()
}

/// All tensors, the gate in FP8 with its scales and the others 0.25.
fn tensors(scales: (Dtype, Vec<u8>)) -> Vec<Stored> {
    let layer = |name: &str| format!("model.layers.0.{name}.weight");
    let expert = |name: &str| layer(&format!("block_sparse_moe.experts.0.{name}"));
    let plain = [
        ("model.embed_tokens.weight".to_owned(), vec![3, WIDTH]),
        ("model.norm.weight".to_owned(), vec![WIDTH]),
        (layer("input_layernorm"), vec![WIDTH]),
        (layer("post_attention_layernorm"), vec![WIDTH]),
        (layer("self_attn.q_proj"), vec![2, WIDTH]),
        (layer("self_attn.k_proj"), vec![2, WIDTH]),
        (layer("self_attn.v_proj"), vec![2, WIDTH]),
        (layer("self_attn.o_proj"), vec![WIDTH, 2]),
        (layer("block_sparse_moe.gate"), vec![1, WIDTH]),
        (expert("w2"), vec![WIDTH, WIDTH]),
        (expert("w3"), vec![WIDTH, WIDTH]),
    ];
    let quarter = |(name, shape): (String, Vec<usize>)| {
        let n_elements = shape.iter().product();
        let bytes = bf16::from_f32(0.25).to_le_bytes().repeat(n_elements);
        (name, Dtype::BF16, shape, bytes)
    };
    let mut gate = vec![0; WIDTH * WIDTH];
    for (row, column, byte, _) in ELEMENTS {
        gate[row * WIDTH + column] = byte;
    }
    let mut all: Vec<Stored> = plain.into_iter().map(quarter).collect();
    all.push((GATE.to_owned(), Dtype::F8_E4M3, vec![WIDTH, WIDTH], gate));
    all.push((format!("{GATE}_scale_inv"), scales.0, vec![2, 2], scales.1));
    all
}

fn write(folder: &Path, tensors: &[Stored]) {
    fs::write(folder.join("config.json"), CONFIG).expect("a file");
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        let view = TensorView::new(*dtype, shape.clone(), bytes).expect("a tensor");
        (name, view)
    });
    let path = folder.join("model.safetensors");
    safetensors::serialize_to_file(views, None, &path).expect("a file");
}

/// The type and the bytes of the gate and of its scales.
fn stored(folder: &Path) -> Vec<(Dtype, Vec<u8>)> {
    let bytes = fs::read(folder.join("model.safetensors")).expect("the file");
    let tensors = SafeTensors::deserialize(&bytes).expect("tensors");
    let names = [GATE.to_owned(), format!("{GATE}_scale_inv")];
    names
        .iter()
        .map(|name| {
            let view = tensors.tensor(name).expect("it is there");
            (view.dtype(), view.data().to_vec())
        })
        .collect()
}

#[test]
fn scales_of_every_type_give_the_same_numbers() {
    let mut expected = vec![0f32; WIDTH * WIDTH];
    for (row, column, _, value) in ELEMENTS {
        expected[row * WIDTH + column] = value;
    }
    let device = Device::flex();
    for dtype in [Dtype::F32, Dtype::BF16, Dtype::F16] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        write(folder.path(), &tensors((dtype, scales(dtype))));
        let checkpoint = PublishedCheckpoint::open(folder.path()).expect("a checkpoint");
        let gate = checkpoint.tensor(GATE, &device).expect("numbers");
        assert!(gate.as_ref() == Some(&expected), "{dtype:?}");
        checkpoint.load(Precision::F32, &device).expect("a model");
    }
}

#[test]
fn scales_keep_their_type_there_and_back() {
    let device = Device::flex();
    for dtype in [Dtype::F32, Dtype::BF16, Dtype::F16] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        write(folder.path(), &tensors((dtype, scales(dtype))));
        let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
        let checkpoint = PublishedCheckpoint::open(folder.path()).expect("a checkpoint");
        to_native(&checkpoint, &ours, &device).expect("our files");
        from_native(&ours, &theirs, &device).expect("their files");
        assert_eq!(stored(&theirs), stored(folder.path()), "{dtype:?}");
    }
}

#[test]
fn scales_of_another_type_are_refused_by_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(folder.path(), &tensors((Dtype::I32, vec![0; 16])));
    let error = PublishedCheckpoint::open(folder.path()).expect_err("whole numbers");
    let scales = format!("{GATE}_scale_inv");
    assert!(
        matches!(&error, CheckpointError::ScaleDtype { tensor, .. } if *tensor == scales),
        "{error}"
    );
}
