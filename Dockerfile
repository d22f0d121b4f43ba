# The image of bitrix24-bridge; docs/operating.md says how to run it.
ARG NODE=24-bookworm-slim

FROM node:${NODE} AS build
WORKDIR /build
COPY package.json package-lock.json ./
# No package needs a script; what is native comes as a finished file.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build \
 && npm prune --omit=dev --ignore-scripts --no-audit --no-fund \
 && find dist -name '*.map' -delete

FROM node:${NODE}
# The package managers of the image are not needed to run, and are the most frequent finding of scanners.
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /opt/yarn* \
 && install -d -o node -g node -m 0700 /data
COPY --from=build /build/node_modules /app/node_modules
COPY --from=build /build/dist /app/dist
COPY package.json LICENSE /app/
ENV NODE_ENV=production \
    BRIDGE_HTTP=0.0.0.0:8000 \
    BRIDGE_STORE=sqlite:/data/bridge.db \
    BRIDGE_LOG_FORMAT=json
USER 1000:1000
WORKDIR /data
VOLUME /data
EXPOSE 8000
# The bridge is process 1 and drains when asked; give it 90 seconds: docker stop -t 90.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8000/livez').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/app/dist/cli/main.js"]
CMD ["run"]
