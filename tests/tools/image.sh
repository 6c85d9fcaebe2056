#!/bin/sh
# image.sh FOLDER NAME COMMAND [ARGUMENT...]: packs /bin/busybox, which must be static, as a container image in the
# layout of the OCI image spec, with all its commands as links, into FOLDER/image.tar. Nothing is pulled. Where there is a
# folder FOLDER/root, that is packed instead.
# Import it with: ctr -n k8s.io images import FOLDER/image.tar
set -eu
folder=$1 name=$2
shift 2
root=$folder/root layout=$folder/layout
mkdir -p "$layout/blobs/sha256"
if [ ! -d "$root" ]; then
    mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/dev" "$root/etc" "$root/run" "$root/tmp"
    cp "$(command -v busybox)" "$root/bin/busybox"
    for command in $(busybox --list); do
        [ "$command" = busybox ] || ln -sf busybox "$root/bin/$command"
    done
fi

# Adds a blob and prints its digest.
blob() {
    digest=$(sha256sum <"$1" | cut -d' ' -f1)
    mv "$1" "$layout/blobs/sha256/$digest"
    echo "$digest"
}
size() { wc -c <"$layout/blobs/sha256/$1"; }

tar -C "$root" --owner=0 --group=0 --numeric-owner -cf "$folder/layer" .
layer=$(blob "$folder/layer")

arguments=
for argument; do
    arguments=$arguments${arguments:+,}\"$argument\"
done
case $(uname -m) in aarch64) machine=arm64 ;; *) machine=amd64 ;; esac
cat >"$folder/config" <<END
{"architecture":"$machine","os":"linux","created":"1970-01-01T00:00:00Z",
"config":{"Env":["PATH=/usr/bin:/bin"],"Entrypoint":[$arguments],"WorkingDir":"/"},
"rootfs":{"type":"layers","diff_ids":["sha256:$layer"]}}
END
config=$(blob "$folder/config")
cat >"$folder/manifest" <<END
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:$config","size":$(size "$config")},
"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:$layer","size":$(size "$layer")}]}
END
manifest=$(blob "$folder/manifest")
cat >"$layout/index.json" <<END
{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:$manifest",
"size":$(size "$manifest"),"platform":{"architecture":"$machine","os":"linux"},
"annotations":{"io.containerd.image.name":"$name","org.opencontainers.image.ref.name":"$name"}}]}
END
echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
tar -C "$layout" -cf "$folder/image.tar" .
