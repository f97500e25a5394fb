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

FROM runtime AS builder
ARG UV_VERSION=0.13.9
RUN apt-get update && apt-get install --yes --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --quiet "uv==${UV_VERSION}" \
 && python3 -m venv --without-pip /opt/prodsim
WORKDIR /src
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY embedder ./embedder
COPY examples ./examples
COPY loaders ./loaders
COPY mappings ./mappings
COPY plugin ./plugin
ENV UV_LINK_MODE=copy VIRTUAL_ENV=/opt/prodsim

# Versions and checksums are those of requirements.lock. CPU builds of torch are on PyTorch's own index, not on PyPI, so
# their checksums are not in the lock: that one package and its CUDA companions leave it. TORCH_BACKEND=lock keeps PyPI's.
FROM builder AS install-cpu
ARG TORCH_BACKEND=cpu
RUN --mount=type=cache,target=/root/.cache/uv \
    if [ "${TORCH_BACKEND}" = lock ]; then cp requirements.lock constraints.txt; else \
      awk '/^[a-zA-Z]/ {drop = /^(torch|triton|nvidia-[a-z0-9-]*|cuda-[a-z]*)==/} !drop' requirements.lock > constraints.txt; \
    fi \
 && backend=$([ "${TORCH_BACKEND}" = lock ] || echo "--torch-backend ${TORCH_BACKEND}") \
 && /opt/uv/bin/uv pip install --quiet --compile-bytecode --no-build-package ray --constraints constraints.txt $backend \
      '/src[aws,embedder,onnx,openvino,parquet,privacy,sql,tracing]'

FROM builder AS install-gpu
RUN --mount=type=cache,target=/root/.cache/uv \
    /opt/uv/bin/uv pip install --quiet --compile-bytecode --no-build-package ray --constraints requirements.lock \
      '/src[aws,embedder,parquet,privacy,sql,tracing]'

FROM runtime AS final
ENTRYPOINT ["prodsim-admin"]
CMD ["embedder", "serve", "--host", "0.0.0.0", "--port", "8901"]
EXPOSE 8901
USER 10001:10001

FROM final AS gpu
COPY --from=install-gpu /opt/prodsim /opt/prodsim

FROM final AS cpu
COPY --from=install-cpu /opt/prodsim /opt/prodsim
