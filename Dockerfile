# The embedder and prodsim-admin. Targets: cpu (the last, so the default) and gpu.
#
#   docker build --target gpu --tag prodsim:0.1.0-gpu .
#
# BASE is any Debian 12: the check in `make image` passes one that mmdebstrap makes from Debian's packages.
ARG BASE=docker.io/library/debian:bookworm-20260824-slim@sha256:88200866dfff7ea7f5cbcb6ec7c8a701889efe6fe859fe64d6990e4b07ea4171

# wget is what KubeRay's probes call; bash what it starts Ray with
FROM ${BASE} AS runtime
RUN apt-get update \
 && apt-get upgrade --yes \
 && apt-get install --yes --no-install-recommends ca-certificates libgomp1 python3 wget \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log /var/log/alternatives.log \
 && groupadd --gid 10001 prodsim \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin prodsim \
 && mkdir -p /var/lib/prodsim /etc/prodsim \
 && chown 10001:0 /var/lib/prodsim \
 && chmod 0770 /var/lib/prodsim
# A platform may pick any user: what Python asks the account database for comes from the environment.
ENV PATH=/opt/prodsim/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    USER=prodsim \
    LOGNAME=prodsim \
    LANG=C.UTF-8 \
    PRODSIM_HOME=/var/lib/prodsim \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HUB_OFFLINE=1
WORKDIR /tmp

# prodsim's wheel, uv, and the versions: none of it stays in the image
FROM runtime AS builder
ARG UV_VERSION=0.13.9
RUN apt-get update && apt-get install --yes --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --quiet "uv==${UV_VERSION}"
WORKDIR /src
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY embedder ./embedder
COPY examples ./examples
COPY loaders ./loaders
COPY mappings ./mappings
COPY plugin ./plugin
# CPU builds of torch are on PyTorch's own index, not on PyPI, so their checksums are not in the lock: that package and its
# CUDA companions leave the CPU target's constraints. All else is checked against requirements.lock.
RUN UV_SYSTEM_CERTS=1 /opt/uv/bin/uv build --quiet --wheel --out-dir /build/wheel . \
 && cp requirements.lock /build/lock.txt \
 && awk '/^[a-zA-Z]/ {drop = /^(torch|triton|nvidia-[a-z0-9-]*|cuda-[a-z]*)==/} !drop' requirements.lock > /build/cpu.txt

FROM runtime AS final
ENTRYPOINT ["prodsim-admin"]
CMD ["embedder", "serve", "--host", "0.0.0.0", "--port", "8901"]
EXPOSE 8901

FROM final AS gpu
RUN --mount=type=bind,from=builder,source=/opt/uv,target=/opt/uv \
    --mount=type=bind,from=builder,source=/build,target=/build \
    python3 -m venv --without-pip /opt/prodsim \
 && UV_SYSTEM_CERTS=1 VIRTUAL_ENV=/opt/prodsim /opt/uv/bin/uv pip install --quiet --no-cache --compile-bytecode \
      --constraints /build/lock.txt "$(ls /build/wheel/*.whl)[aws,embedder,parquet,privacy,sql,tracing]"
USER 10001:10001

# TORCH=lock installs PyPI's torch with its CUDA libraries here too: where PyTorch's index can't be reached.
FROM final AS cpu
ARG TORCH=cpu
RUN --mount=type=bind,from=builder,source=/opt/uv,target=/opt/uv \
    --mount=type=bind,from=builder,source=/build,target=/build \
    if [ "${TORCH}" = lock ]; then set -- --constraints /build/lock.txt; \
    else set -- --constraints /build/cpu.txt --torch-backend "${TORCH}"; fi \
 && python3 -m venv --without-pip /opt/prodsim \
 && UV_SYSTEM_CERTS=1 VIRTUAL_ENV=/opt/prodsim /opt/uv/bin/uv pip install --quiet --no-cache --compile-bytecode \
      "$@" "$(ls /build/wheel/*.whl)[aws,embedder,onnx,openvino,parquet,privacy,sql,tracing]"
USER 10001:10001
