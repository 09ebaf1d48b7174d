# SPDX-License-Identifier: Apache-2.0
"""What happens to spans on their way out of an application.

`durable` is the exporter that loses nothing. It keeps what a backend does not take in a `spool` of files, or in memory
where there is no disk, and sends it again later. `shipping` adds the records of versions, `restamping` puts back stamps
that an attribute limit removed.
"""
