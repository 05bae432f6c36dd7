# seesame in an image, for the CPU or for NVIDIA GPUs. In a checkout:
#
#   docker build --build-arg VARIANT=cuda -t seesame:cuda .
#   docker build --build-arg VARIANT=cpu --build-arg PIP_EXTRA_INDEX_URL=INDEX -t seesame:cpu .
#   docker run --rm -v "$PWD:/data" seesame:cpu compress drive.mp4 -o small.mp4 --max-seg 0.01
#
# INDEX is the address of PyTorch's own index of CPU builds, which pytorch.org names: what pip finds
# by itself on Linux is the build for CUDA. The GPU's driver comes from the host (`--gpus all`).
# `seesame contest evaluate` needs bubblewrap, which is not in here.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim-bookworm AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE MANIFEST.in ./
COPY src src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:${PYTHON}-slim-bookworm
ARG VARIANT=cpu
ARG PIP_EXTRA_INDEX_URL
COPY requirements/dev.txt /tmp/pins.txt
COPY --from=wheel /wheel /tmp/wheel
# The build stops where PyTorch is not of the variant that was asked for.
RUN pip install --no-cache-dir --constraint /tmp/pins.txt "$(echo /tmp/wheel/*.whl)[onnx,search]" \
    && python -c "import sys, torch; has = 'cuda' if torch.version.cuda else 'cpu'; \
sys.exit(has != '${VARIANT}' and f'PyTorch is for {has}, not for ${VARIANT}')" \
    && rm -r /tmp/wheel /tmp/pins.txt \
    && useradd --create-home --uid 1000 seesame
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 1000
WORKDIR /data
ENTRYPOINT ["seesame"]
CMD ["--help"]
