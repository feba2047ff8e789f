# The service without torch, about 400 MB:
#     docker build -t vireid . && docker run --rm vireid vireid --help

FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN python -m venv /opt/vireid && /opt/vireid/bin/pip install --no-cache-dir '.[serve,client]'

FROM python:3.13-slim
COPY --from=build /opt/vireid /opt/vireid
RUN useradd --system --create-home --home-dir /data vireid
ENV PATH=/opt/vireid/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    VIREID_CACHE=/data/cache \
    VIREID_DATA=/data/service \
    VIREID_HOST=0.0.0.0 \
    VIREID_LOG_FORMAT=json
USER vireid
WORKDIR /data
VOLUME /data
EXPOSE 8750
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD \
    ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8750/ready', timeout=4)"]
CMD ["vireid", "serve"]
