package secretmanagertest

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"cloud.google.com/go/iam/apiv1/iampb"
	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// CreateSecret implements the service.
func (s *Server) CreateSecret(_ context.Context, r *secretmanagerpb.CreateSecretRequest) (*secretmanagerpb.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.allowed(r.GetParent(), "secretmanager.secrets.create"); err != nil {
		return nil, err
	}
	if !secretID.MatchString(r.GetSecretId()) || r.GetSecret().GetReplication() == nil {
		return nil, status.Error(codes.InvalidArgument, "The request is invalid.")
	}
	if _, there := s.secrets[r.GetSecretId()]; there {
		return nil, status.Errorf(codes.AlreadyExists, "Secret [%s] already exists.", r.GetSecretId())
	}
	s.secrets[r.GetSecretId()] = []*stored{}
	return &secretmanagerpb.Secret{Name: canonical(r.GetSecretId()), Replication: r.GetSecret().GetReplication()}, nil
}

// GetSecret implements the service.
func (s *Server) GetSecret(_ context.Context, r *secretmanagerpb.GetSecretRequest) (*secretmanagerpb.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.allowed(r.GetName(), "secretmanager.secrets.get"); err != nil {
		return nil, err
	}
	if _, there := s.secrets[secretOf(r.GetName())]; !there {
		return nil, notFound(r.GetName())
	}
	return &secretmanagerpb.Secret{Name: canonical(secretOf(r.GetName()))}, nil
}

// AddSecretVersion implements the service.
func (s *Server) AddSecretVersion(_ context.Context, r *secretmanagerpb.AddSecretVersionRequest) (*secretmanagerpb.SecretVersion, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.allowed(r.GetParent(), "secretmanager.versions.add"); err != nil {
		return nil, err
	}
	secret, data := secretOf(r.GetParent()), r.GetPayload().GetData()
	if _, there := s.secrets[secret]; !there {
		return nil, notFound(r.GetParent())
	}
	const limit = 65536
	if len(data) > limit {
		return nil, status.Error(codes.InvalidArgument, "The secret payload is larger than 65536 bytes.")
	}
	given := r.GetPayload().DataCrc32C != nil
	if given && r.GetPayload().GetDataCrc32C() != checksum(data) {
		return nil, status.Error(codes.InvalidArgument, "The checksum does not match the payload.")
	}
	v := s.add(secret, data)
	answer := describe(secret, len(s.secrets[secret]), v)
	answer.ClientSpecifiedPayloadChecksum = given && !s.Damage
	return answer, nil
}

// AccessSecretVersion implements the service.
func (s *Server) AccessSecretVersion(_ context.Context, r *secretmanagerpb.AccessSecretVersionRequest) (*secretmanagerpb.AccessSecretVersionResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	secret, number, v, err := s.find(r.GetName(), "secretmanager.versions.access")
	if err != nil {
		return nil, err
	}
	if v.state != secretmanagerpb.SecretVersion_ENABLED {
		return nil, status.Errorf(codes.FailedPrecondition, "Secret Version [%s] is in %s state.", r.GetName(), v.state)
	}
	sum, data := checksum(v.payload), slices.Clone(v.payload)
	if s.Damage {
		data[0] ^= 1
	}
	return &secretmanagerpb.AccessSecretVersionResponse{
		Name:    describe(secret, number, v).GetName(),
		Payload: &secretmanagerpb.SecretPayload{Data: data, DataCrc32C: &sum},
	}, nil
}

// GetSecretVersion implements the service.
func (s *Server) GetSecretVersion(_ context.Context, r *secretmanagerpb.GetSecretVersionRequest) (*secretmanagerpb.SecretVersion, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	secret, number, v, err := s.find(r.GetName(), "secretmanager.versions.get")
	if err != nil {
		return nil, err
	}
	return describe(secret, number, v), nil
}

// ListSecretVersions implements the service: newest first, in pages.
func (s *Server) ListSecretVersions(_ context.Context, r *secretmanagerpb.ListSecretVersionsRequest) (*secretmanagerpb.ListSecretVersionsResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.allowed(r.GetParent(), "secretmanager.versions.list"); err != nil {
		return nil, err
	}
	secret := secretOf(r.GetParent())
	versions, there := s.secrets[secret]
	if !there {
		return nil, notFound(r.GetParent())
	}
	wanted, filtered := strings.CutPrefix(r.GetFilter(), "state:")
	if r.GetFilter() != "" && !filtered {
		return nil, status.Error(codes.InvalidArgument, "This filter is not known here.")
	}
	from := len(versions)
	if r.GetPageToken() != "" {
		from, _ = strconv.Atoi(r.GetPageToken())
	}
	answer := &secretmanagerpb.ListSecretVersionsResponse{}
	for n := from; n > 0; n-- {
		if filtered && versions[n-1].state.String() != wanted {
			continue
		}
		if len(answer.Versions) == int(r.GetPageSize()) && r.GetPageSize() > 0 {
			answer.NextPageToken = strconv.Itoa(n)
			break
		}
		answer.Versions = append(answer.Versions, describe(secret, n, versions[n-1]))
	}
	return answer, nil
}

// DestroySecretVersion implements the service.
func (s *Server) DestroySecretVersion(_ context.Context, r *secretmanagerpb.DestroySecretVersionRequest) (*secretmanagerpb.SecretVersion, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	secret, number, v, err := s.find(r.GetName(), "secretmanager.versions.destroy")
	if err != nil {
		return nil, err
	}
	if v.state == secretmanagerpb.SecretVersion_DESTROYED {
		return nil, status.Errorf(codes.FailedPrecondition, "Secret Version [%s] is in DESTROYED state.", r.GetName())
	}
	if s.DelayedDestroy {
		v.state = secretmanagerpb.SecretVersion_DISABLED
	} else {
		v.state, v.payload = secretmanagerpb.SecretVersion_DESTROYED, nil
	}
	return describe(secret, number, v), nil
}

// TestIamPermissions implements the service.
func (s *Server) TestIamPermissions(_ context.Context, r *iampb.TestIamPermissionsRequest) (*iampb.TestIamPermissionsResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := &iampb.TestIamPermissionsResponse{}
	if _, there := s.secrets[secretOf(r.GetResource())]; !there {
		return answer, nil
	}
	for _, p := range r.GetPermissions() {
		if s.allowed(r.GetResource(), p) == nil {
			answer.Permissions = append(answer.Permissions, p)
		}
	}
	return answer, nil
}

// find resolves the name of a version.
func (s *Server) find(name, permission string) (secret string, number int, v *stored, err error) {
	if err := s.allowed(name, permission); err != nil {
		return "", 0, nil, err
	}
	secret, which := secretOf(name), name[strings.LastIndex(name, "/")+1:]
	versions := s.secrets[secret]
	number, err = strconv.Atoi(which)
	if which == "latest" {
		number, err = len(versions), nil
		if s.StaleLatest && number > 1 {
			number--
		}
	}
	if err != nil || number < 1 || number > len(versions) {
		return "", 0, nil, notFound(name)
	}
	return secret, number, versions[number-1], nil
}

func notFound(name string) error {
	return status.Errorf(codes.NotFound, "Secret [%s] not found or has no versions.", name)
}
