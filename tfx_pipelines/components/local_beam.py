"""The Beam arguments with which TFX's components take the least time in one process; TFX interpreter."""

LOCAL_BEAM = (
    # Batches by bytes, up to 8,192 rows, instead of by a clock that begins with one row.
    "--tfxio_use_byte_size_batching=true",
    # TFX's pipelines have passed Beam's checks of types before they came here.
    "--no_pipeline_type_check",
    # Never used in one process. Where no image is named, TFX packs its own sources for remote workers, in every
    # component, as soon as there is any other argument: 2 s each.
    "--sdk_container_image=none",
)
