//! Tells the linker of each image where its board's memory is.

use std::env;

fn main() {
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let here = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    for (image, folder) in [
        ("emcraft-sf2", "emcraft_sf2"),
        ("lm3s6965evb", "lm3s6965evb"),
        ("w5500-evb-pico2", "w5500_evb_pico2"),
    ] {
        println!("cargo:rustc-link-arg-bin={image}=-L{here}/src/boards/{folder}");
        println!("cargo:rerun-if-changed=src/boards/{folder}/memory.x");
    }
    for argument in ["--nmagic", "-Tlink.x", "-Tdefmt.x"] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
